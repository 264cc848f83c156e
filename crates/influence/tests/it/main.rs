//! Integration tests of `tamis-influence`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
mod rules;
mod scores;
