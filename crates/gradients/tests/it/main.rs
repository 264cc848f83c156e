//! Integration tests of `tamis-gradients`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod exact;
mod kill;
mod pass;
mod projection;
