#![doc = include_str!("../README.md")]

mod batches;
mod conjugate_gradient;
mod contract;
mod error;
pub mod exact;
mod gauss_newton;
mod hessian;
mod linearised;
mod loss_hessian;
mod low_rank;
mod pipeline;
mod refine;
mod rules;
mod scored;
mod seeds;
mod shares;
pub mod stages;
mod table;

pub use conjugate_gradient::ConjugateGradient;
pub use contract::Contraction;
pub use error::InfluenceError;
pub use gauss_newton::{GaussNewton, GaussNewtonParams};
pub use hessian::{Block, Hessian};
pub use loss_hessian::LossHessian;
pub use low_rank::LowRankSeeds;
pub use pipeline::{Influence, InfluenceStage};
pub use refine::{Refinement, Residuals};
pub use rules::{Helpful, Ranking, Rule};
pub use scored::scored;
pub use seeds::Seeds;
pub use shares::{PerLayer, SelfInfluence, TokenScores};
pub use table::{Candidate, ScoreTable};
