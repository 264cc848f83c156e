//! Integration tests of `tamis-nuggets`.
// Counts and repeated computations are compared exactly on purpose.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod anchors;
mod common;
mod invariance;
mod kill;
mod naive;
mod provenance;
mod refusals;
mod rule;
mod speed;
mod store;
mod work;
