//! Exact witnesses for tiny models in f64: what the fast paths are tested against, and what an
//! experiment can be checked with.
//!
//! - [`dense_gauss_newton`] and [`dense_fisher`] form the whole matrix of the chosen layers,
//!   cross-layer blocks included ([`Dense`]); [`Dense::solve`] divides seeds by it, damped, through
//!   nalgebra.
//! - [`finite_difference`] takes a gradient without autograd.
//!
//! Nothing here shares code with what it is a witness of, beyond the forward pass of the model and,
//! for the matrices, one backward pass. A matrix of `P` parameters takes `8 P²` bytes, and about as
//! much again while it is factored; more than [`LARGEST`] are refused.

mod curvature;
mod dense;
mod difference;

pub use curvature::{dense_fisher, dense_gauss_newton};
pub use dense::{Dense, LARGEST};
pub use difference::finite_difference;
