#![doc = include_str!("../README.md")]

mod basis_store;
mod curvature;
mod damping;
mod eigen;
mod error;
mod factors;
mod fit;
mod fitted;
mod kind;
mod moments;
mod spectral;
mod store;
mod sums;
mod tensors;

pub use curvature::{Curvature, Identity};
pub use damping::Damping;
pub use eigen::{Eigen, Eigenbasis, LayerBasis};
pub use error::KfacError;
pub use factors::{Factors, LayerFactors};
pub use fit::{FactorFit, FitParams, FitReport, NonFinite};
pub use fitted::{CurvatureFit, Fitted, ProjectedCurvature};
pub use kind::{CurvatureKind, Needs};
pub use moments::SecondMoments;
pub use spectral::{LayerSpectrum, Spectral};
pub use store::{FactorStore, MomentStore, SumStore};
pub use sums::{Sums, Tokens};
