//! Integration tests of `tamis-report`.
// Floats are compared exactly where they are exact: copies, counts, sums of small integers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::float_cmp)]

mod jsonl;
mod page;
#[cfg(feature = "parquet")]
mod parquet;
mod pca;
mod plots;
mod run;
mod selection;
mod stats;
mod text;
