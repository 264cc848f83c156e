#![doc = include_str!("../README.md")]

mod error;
mod rules;
mod seeds;
mod table;

pub use error::InfluenceError;
pub use rules::{Helpful, Ranking, Rule};
pub use seeds::Seeds;
pub use table::{Candidate, ScoreTable};
