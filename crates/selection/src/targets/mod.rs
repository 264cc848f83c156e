#![doc = include_str!("README.md")]

mod bm25;
mod columns;
mod cosines;
mod error;
mod round_robin;
mod rule;
mod scores;
mod words;

pub use bm25::{Bm25, Bm25Params};
pub use columns::TargetColumns;
pub use cosines::Cosines;
pub use error::TargetError;
pub use rule::TaskRule;
pub use scores::{ScoredCandidate, Target, TargetScores, Unscored};
