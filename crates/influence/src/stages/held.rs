//! Fine-tuning that moves the shared weights, but not far.

use std::fmt;

use tamis_artifact::{ParameterError, Progress};
use tamis_kfac::Curvature;
use tamis_model::LayerInfo;

use crate::hessian::place;
use crate::{ConjugateGradient, Hessian, InfluenceError, Refinement, Residuals, Seeds};

/// Shared weights `W` fine-tuned along with new weights `Θ` (or without any), and held to their
/// pre-trained value by `(α/2)‖W − W*‖²`.
///
/// The optimum of fine-tuning moves by `α (H + α P_W)⁻¹ [dW*; 0]`, with `P_W` the identity on `W` and
/// zero on `Θ`, so `T = α [(H + α P_W)⁻¹ g]_W` (arXiv 2007.09081, the case of an updated
/// embedding). With `α → ∞` it is [`Frozen`](super::Frozen).
#[derive(Clone)]
pub struct Held<'a> {
    /// `H` of the fine-tuning loss at the fine-tuned weights, without the pull, over all layers.
    pub hessian: &'a dyn Hessian,
    /// The layers of `W`.
    pub shared: Vec<LayerInfo>,
    /// `α`, in the units of `H`: of the loss a token where `H` is a mean over tokens.
    pub strength: f64,
    /// What else was on the diagonal, one number a layer of `H`: weight decay, or damping. Above 0 on
    /// the new layers.
    pub damping: Vec<f64>,
    /// What `H + α P_W + D` is approximated by.
    pub preconditioner: &'a dyn Curvature,
    /// How many steps.
    pub method: ConjugateGradient,
}

impl fmt::Debug for Held<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held")
            .field("layers", &self.hessian.layers().len())
            .field("shared", &self.shared.len())
            .field("strength", &self.strength)
            .field("damping", &self.damping)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl Held<'_> {
    /// `T` of every seed, on the shared layers, from plain gradients (those taken with
    /// [`Identity`](tamis_kfac::Identity)) on all layers; and how far the solves came.
    ///
    /// # Errors
    /// A strength that is not above 0, a shared layer that the matrix does not have, gradients of other
    /// layers, and what [`Refinement::solve`] reports.
    pub fn transfer(
        &self,
        gradients: &Seeds,
        progress: &mut dyn Progress,
    ) -> Result<(Seeds, Residuals), InfluenceError> {
        let strength = self.strength;
        ParameterError::finite_above("strength of the pull", strength, 0.0)?;
        let mut damping = self.damping.clone();
        for layer in &self.shared {
            if let Some(own) = damping.get_mut(place(self.hessian.layers(), layer)?) {
                *own += strength;
            }
        }
        let refinement = Refinement {
            matrix: self.hessian,
            damping,
            preconditioner: self.preconditioner,
            method: self.method,
        };
        let (solved, residuals) = refinement.solve(gradients, progress)?;
        let shared = solved.restricted(&self.shared)?;
        Ok((shared.mapped(|_, own| Ok(own.f_mul_scalar(strength)?))?, residuals))
    }
}
