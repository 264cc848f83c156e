#![doc = include_str!("../README.md")]

mod error;
mod filter;
mod scorer;
pub mod scorers;
mod scores;
mod stage;
pub mod targets;
pub mod vectors;

pub use error::SelectionError;
pub use filter::{Filter, Take};
pub use scorer::{BoxError, RowScores, Score, Scorer};
pub use scores::{ScoredRow, Scores};
pub use stage::ScoreStage;
pub use vectors::Vectors;
