#![doc = include_str!("../README.md")]

mod anchors;
mod batches;
mod encode;
mod error;
mod estimate;
mod opening;
mod params;
mod pass;
mod representatives;
mod rule;
mod scorer;
mod scores;
mod stems;

pub use error::NuggetsError;
pub use params::GoldenParams;
pub use pass::read_scores;
pub use representatives::representatives;
pub use rule::{GoldenRule, Ties};
pub use scorer::GoldenScorer;
pub use scores::{Anchor, Golden, GoldenCandidate, GoldenScores, OwnPair};
