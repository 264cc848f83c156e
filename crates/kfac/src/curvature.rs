//! The seam through which influence sees curvature.

use tamis_model::LayerInfo;
use tch::{Kind, Tensor};

use crate::KfacError;

/// A layer-wise curvature `H`, damped, that gradients can be divided by.
pub trait Curvature {
    /// `H⁻¹ G` for gradients `g` (rows, out, in (+1 with a bias)) of `layer`. Changes no state.
    ///
    /// # Errors
    /// A layer the curvature was not fitted for, gradients of another shape, or a curvature that
    /// cannot be inverted.
    fn solve(&self, layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError>;

    /// `⟨G, H⁻¹ G⟩` for each row of `g`, (rows,): the self-influence of a layer's gradients.
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    fn quadratic(&self, layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        let product = self.solve(layer, g)?.f_mul(g)?;
        let kind = product.kind();
        Ok(product.f_sum_dim_intlist([1i64, 2].as_slice(), false, kind)?)
    }

    /// What was added to the eigenvalues of `layer`'s curvature: the multiple of the identity that a
    /// refinement against the undamped curvature has to add as well.
    ///
    /// # Errors
    /// A layer the curvature was not fitted for.
    fn damping(&self, layer: &LayerInfo) -> Result<f64, KfacError>;
}

/// No curvature: `H = I`, so that influence is the plain inner product of gradients.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity;

impl Curvature for Identity {
    fn solve(&self, _layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        Ok(g.shallow_clone())
    }

    fn quadratic(&self, _layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        let kind = if g.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let squares = g.f_to_kind(kind)?.f_square()?;
        Ok(squares.f_sum_dim_intlist([1i64, 2].as_slice(), false, kind)?)
    }

    /// The identity stands for all of the curvature; nothing was added to it.
    fn damping(&self, _layer: &LayerInfo) -> Result<f64, KfacError> {
        Ok(0.0)
    }
}
