#![doc = include_str!("../README.md")]

mod error;
mod rows;
mod scorer;
mod scores;
mod sieve;
mod stage;

pub use error::PipelineError;
pub use rows::Rows;
pub use scorer::{BoxError, Score, Scorer};
pub use scores::{Scored, Scores};
pub use sieve::{Sieve, Take};
pub use stage::ScoreStage;
