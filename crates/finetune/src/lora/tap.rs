//! The adapter in a forward pass.

use tamis_model::{LayerId, Tap};
use tch::{TchError, Tensor};

use super::Lora;
use crate::seeded;

/// Adds the adapter's branch to the layers it has one for: `y + s · dropout(x) Aᵀ Bᵀ`.
///
/// The branch is computed in the adapter's kind and added in that of `y`.
#[derive(Debug)]
pub struct LoraTap<'a> {
    lora: &'a Lora,
    /// Seed, step and pass that key the dropout masks; none outside training.
    dropout: Option<[u64; 3]>,
}

impl<'a> LoraTap<'a> {
    pub(super) fn new(lora: &'a Lora, dropout: Option<[u64; 3]>) -> Self {
        Self { lora, dropout: dropout.filter(|_| lora.params.dropout > 0.0) }
    }
}

impl Tap for LoraTap<'_> {
    fn linear(&mut self, layer: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        let Some(adapter) = self.lora.at(layer) else { return Ok(y) };
        let mut x = x.f_to_kind(adapter.a.f_kind()?)?;
        if let Some([seed, step, pass]) = self.dropout {
            // Of the layer and not of the call: recomputing a block gives the same mask.
            let key = seeded::dropout_key(seed, step, pass, &adapter.name);
            x = x.f_mul(&seeded::dropout_mask(&x, self.lora.params.dropout, key)?)?;
        }
        // The scale goes where the tensor is smallest.
        let low = x.f_linear(&adapter.a, None::<Tensor>)?.f_mul_scalar(self.lora.params.scale())?;
        let change = low.f_linear(&adapter.b, None::<Tensor>)?;
        y.f_add(&change.f_to_kind(y.f_kind()?)?)
    }
}
