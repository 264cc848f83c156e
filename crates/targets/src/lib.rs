#![doc = include_str!("../README.md")]

mod error;
mod round_robin;
mod rule;
mod scores;

pub use error::TargetError;
pub use rule::TaskRule;
pub use scores::{Scored, Target, TargetScores, Unscored};
