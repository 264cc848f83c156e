//! The one integration test binary of `tamis-diverse-evol`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod command;
mod damage;
mod fakes;
mod files;
mod interruptions;
mod kill;
mod naive;
mod refusals;
mod strategies;
mod uncertainty;
