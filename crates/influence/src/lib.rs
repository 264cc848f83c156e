#![doc = include_str!("../README.md")]

mod conjugate_gradient;
mod contract;
mod error;
pub mod exact;
mod gauss_newton;
mod linearised;
mod low_rank;
mod refine;
mod rules;
mod seeds;
mod shares;
mod stage;
mod table;

pub use conjugate_gradient::ConjugateGradient;
pub use contract::Contraction;
pub use error::InfluenceError;
pub use gauss_newton::{GaussNewton, GaussNewtonParams};
pub use low_rank::LowRankSeeds;
pub use refine::{Refinement, Residuals};
pub use rules::{Helpful, Ranking, Rule};
pub use seeds::Seeds;
pub use shares::{PerLayer, SelfInfluence, TokenScores};
pub use stage::{Influence, InfluenceStage};
pub use table::{Candidate, ScoreTable};
