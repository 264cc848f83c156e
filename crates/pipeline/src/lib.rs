#![doc = include_str!("../README.md")]

mod error;
mod filter;
mod scorer;
mod scores;
mod simple;
mod stage;

pub use error::PipelineError;
pub use filter::{Filter, Take};
pub use scorer::{BoxError, RowScores, Score, Scorer};
pub use scores::{Scored, Scores};
pub use simple::{Chance, Length, Numbers, Unit};
pub use stage::ScoreStage;
