#![doc = include_str!("../README.md")]

mod curvature;
mod damping;
mod error;
mod factors;
mod fit;
mod kfac;
mod store;

pub use curvature::{Curvature, Identity};
pub use damping::Damping;
pub use error::KfacError;
pub use factors::{Factors, LayerFactors, Tokens};
pub use fit::{FactorFit, FitParams};
pub use kfac::{Kfac, LayerSpectrum};
pub use store::FactorStore;
