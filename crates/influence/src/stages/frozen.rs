//! Fine-tuning that leaves the shared weights as they are.

use std::fmt;

use tamis_artifact::Progress;
use tamis_model::LayerInfo;

use crate::hessian::{check, place};
use crate::{Hessian, InfluenceError, Refinement, Residuals, Seeds};

/// Shared weights `W` frozen in fine-tuning, new weights `Θ` trained to their optimum.
///
/// A change of `W` changes the loss of a seed directly, and through the new optimum of `Θ`, which moves
/// by `−H_ΘΘ⁻¹ H_ΘW dW`: together `T = g_W − H_WΘ H_ΘΘ⁻¹ g_Θ` (arXiv 2007.09081, the case of a
/// fixed embedding). Everything is at the fine-tuned weights and of the fine-tuning loss.
#[derive(Clone, Copy)]
pub struct Frozen<'a> {
    /// `H` over shared and new layers, of which the block between them counts. A matrix that is only
    /// approximate in that block (Gauss–Newton, where `Θ` is stacked on `W`) is so here.
    pub hessian: &'a dyn Hessian,
    /// Divides by `H_ΘΘ`, damped as `Θ`'s training was regularised: its matrix is over the new layers
    /// alone, a [`Block`](crate::Block) of the same or a
    /// [`GaussNewton`](crate::GaussNewton).
    pub new: &'a Refinement<'a>,
}

impl fmt::Debug for Frozen<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen")
            .field("layers", &self.hessian.layers().len())
            .field("new", self.new)
            .finish()
    }
}

impl Frozen<'_> {
    /// The layers that are shared: those of the matrix that are not new.
    pub fn shared(&self) -> Vec<LayerInfo> {
        let new = self.new.matrix.layers();
        self.hessian.layers().iter().filter(|layer| !new.contains(layer)).cloned().collect()
    }

    /// `T` of every seed, on the shared layers, from plain gradients (those taken with
    /// [`Identity`](tamis_kfac::Identity)) on all layers; and how far the solves with `H_ΘΘ` came.
    ///
    /// # Errors
    /// Gradients of other layers than the matrix, new layers that the matrix does not have, and what
    /// [`Refinement::solve`] reports.
    pub fn transfer(
        &self,
        gradients: &Seeds,
        progress: &mut dyn Progress,
    ) -> Result<(Seeds, Residuals), InfluenceError> {
        let (all, new) = (self.hessian.layers(), self.new.matrix.layers());
        for layer in new {
            place(all, layer)?;
        }
        let gradients = gradients.restricted(all)?;
        let (moved, residuals) = self.new.solve(&gradients.restricted(new)?, progress)?;
        // H times a vector that is zero on W: on W that is H_WΘ times the rest of it.
        let vectors = moved.extended(all)?.vectors()?;
        let products = self.hessian.product(&vectors)?;
        let shared = self.shared();
        let left = gradients.restricted(&shared)?.mapped(|layer, own| {
            let at = place(all, layer)?;
            let left = own.f_detach_copy()?;
            for (n, product) in (0..).zip(&products) {
                check(all, product)?;
                let _ = left.f_get(n)?.f_sub_(&product[at].f_to_kind(own.kind())?)?;
            }
            Ok(left)
        })?;
        Ok((left, residuals))
    }
}
