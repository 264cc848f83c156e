//! Integration tests of `tamis-kfac`.
// Counts and repeated computations are compared exactly on purpose.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod ekfac;
mod exact;
mod factors;
mod fit;
mod fitted;
mod layouts;
