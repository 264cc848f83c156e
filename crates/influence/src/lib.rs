#![doc = include_str!("../README.md")]

mod contract;
mod error;
mod low_rank;
mod rules;
mod seeds;
mod shares;
mod table;

pub use contract::Contraction;
pub use error::InfluenceError;
pub use low_rank::LowRankSeeds;
pub use rules::{Helpful, Ranking, Rule};
pub use seeds::Seeds;
pub use shares::{PerLayer, SelfInfluence, TokenScores};
pub use table::{Candidate, ScoreTable};
