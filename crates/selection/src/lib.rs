#![doc = include_str!("../README.md")]

mod candidates;
mod error;
mod filter;
mod scorer;
pub mod scorers;
mod scores;
mod selection;
mod selector;
pub mod selectors;
mod stage;
pub mod targets;
pub mod vectors;
pub mod why;

pub use candidates::Candidates;
pub use error::SelectionError;
pub use filter::{Filter, Take};
pub use scorer::{BoxError, RowScores, Score, Scorer};
pub use scores::{ScoredRow, Scores};
pub use selection::{Decision, Selection};
pub use selector::Selector;
pub use stage::ScoreStage;
pub use vectors::Vectors;
