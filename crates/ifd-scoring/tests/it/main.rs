//! Integration tests of `tamis-ifd-scoring`.
// Counts and repeated computations are compared exactly on purpose.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod common;
mod invariance;
mod kill;
mod misfits;
mod naive;
mod outcomes;
mod provenance;
mod published;
mod settings;
mod stage;
mod store;
