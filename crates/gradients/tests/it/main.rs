//! Integration tests of `tamis-gradients`.
// Counts and repeated computations are compared exactly on purpose.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod common;
mod exact;
mod flat;
mod kill;
mod layouts;
mod packed;
mod pass;
mod projection;
mod refused;
mod sinks;
mod store;
mod vectors;
