//! Integration tests of `tamis-influence`.
// Counts and repeated computations are compared exactly on purpose.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod common;
mod rules;
mod scores;
mod shares;
