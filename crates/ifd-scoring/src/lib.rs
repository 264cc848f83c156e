#![doc = include_str!("../README.md")]

mod batches;
mod context;
mod error;
mod estimate;
mod params;
mod pass;
mod preset;
mod reversed;
mod rows;
mod score;
mod scorer;
mod stage;

pub use error::IfdError;
pub use params::{DEFAULT_REQUEST, DirectContext, Measures, Ratio, ScoreParams};
pub use pass::read_scores;
pub use preset::Preset;
pub use reversed::reversed;
pub use score::{Measure, Measured, SampleScores, Term, Terms};
pub use scorer::IfdScorer;
