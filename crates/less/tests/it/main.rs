//! Integration tests of `tamis-less`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod adapted;
mod common;
mod exact;
mod kill;
mod layouts;
mod norms;
mod refused;
mod scores;
