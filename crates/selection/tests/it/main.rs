//! The one integration test binary of `tamis-selection`.

#![allow(clippy::unwrap_used, clippy::panic)]

mod by_score;
mod selectors;
mod stages;
mod targets;
mod vectors;
