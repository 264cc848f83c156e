#![doc = include_str!("../README.md")]

mod error;
pub mod exact;
mod gauss_newton;
mod linearised;
mod refine;
mod rules;
mod seeds;
mod table;

pub use error::InfluenceError;
pub use gauss_newton::{GaussNewton, GaussNewtonParams};
pub use refine::{ConjugateGradient, Refinement, Residuals};
pub use rules::{Helpful, Ranking, Rule};
pub use seeds::Seeds;
pub use table::{Candidate, ScoreTable};
