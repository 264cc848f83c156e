//! The one seam through which every method sees a model: its linear layers.

use tch::Tensor;

/// Number of a linear layer: its index in [`CausalLm::layers`](crate::CausalLm::layers).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LayerId(pub usize);

/// What is known of a linear layer before any forward pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerInfo {
    /// Its number.
    pub id: LayerId,
    /// Its name as in the checkpoint, without `.weight`: `model.layers.0.mlp.up_proj`.
    pub name: String,
    /// Width of the input `x`.
    pub in_features: i64,
    /// Width of the output `y`.
    pub out_features: i64,
    /// Whether `y = x Wᵀ + b` rather than `y = x Wᵀ`.
    pub bias: bool,
    /// Whether this is the language-model head. It sees the positions whose logits were asked for,
    /// not (batch, time).
    pub head: bool,
}

/// Watches, and may replace, the output of a model's linear layers during one forward pass.
///
/// Capturing inputs and outputs for gradients, accumulating covariances, adding a LoRA branch: each
/// is one small `Tap`.
pub trait Tap {
    /// Called once for every linear layer, in the order of the forward pass. (The head is called
    /// once per call of [`CausalLm::logits`](crate::CausalLm::logits), which without gradients may be
    /// asked for the logits of a large batch in pieces.)
    ///
    /// `x` is (batch, time, in) and `y = x Wᵀ (+ b)` is (batch, time, out); for the head of the
    /// model both have the leading shape of the hidden states its logits were asked for. Returns
    /// what the model goes on with, in the shape of `y`.
    ///
    /// # Errors
    /// Whatever LibTorch reports of the tap's own arithmetic.
    fn linear(&mut self, layer: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, tch::TchError>;
}

/// Watches nothing and costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoTap;

impl Tap for NoTap {
    fn linear(&mut self, _layer: LayerId, _x: &Tensor, y: Tensor) -> Result<Tensor, tch::TchError> {
        Ok(y)
    }
}
