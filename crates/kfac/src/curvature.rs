//! The seam through which influence sees curvature.

use tamis_model::LayerInfo;
use tch::Tensor;

use crate::KfacError;

/// A layer-wise curvature `H` that gradients can be divided by.
pub trait Curvature {
    /// `H⁻¹ G` for gradients `g` (rows, out, in (+1 with a bias)) of `layer`. Changes no state.
    ///
    /// # Errors
    /// A layer the curvature was not fitted for, gradients of another shape, or a curvature that
    /// cannot be inverted.
    fn solve(&self, layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError>;
}

/// No curvature: `H = I`, so that influence is the plain inner product of gradients.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

impl Curvature for Identity {
    fn solve(&self, _layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        Ok(g.shallow_clone())
    }
}
