//! Integration tests of `tamis-influence`.
// Counts and repeated computations are compared exactly on purpose.
#![allow(clippy::result_large_err, clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod common;
mod exact;
mod gauss_newton;
mod layouts;
mod leave_one_out;
mod pipeline;
mod refine;
mod rules;
mod scores;
mod shares;
mod softmax;
mod stages;
