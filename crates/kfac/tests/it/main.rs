//! Integration tests of `tamis-kfac`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod exact;
mod factors;
mod fit;
