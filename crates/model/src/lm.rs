//! What every causal language model here can do.

use tch::{Device, Kind, Tensor};

use crate::{LayerInfo, ModelError, Parameters, Tap};

/// A causal language model whose linear layers can be tapped.
///
/// Inputs are right-padded and need no attention mask: in a causal model padding comes after every
/// real token and so cannot be seen by one.
pub trait CausalLm: Send {
    /// Every linear layer, in the order of the forward pass; the head is the last.
    fn layers(&self) -> &[LayerInfo];

    /// Every parameter under its name in the checkpoint; tied ones once.
    fn parameters(&self) -> &Parameters;

    /// Sizes that callers need: vocabulary, width, longest input.
    fn shape(&self) -> ModelShape;

    /// Hidden states after the final norm: ids (batch, time) of `Kind::Int64` to (batch, time, width).
    ///
    /// With gradients enabled and frozen weights, the embedding output starts the graph, so that
    /// gradients with respect to any tapped output can be taken.
    ///
    /// # Errors
    /// An id outside the vocabulary, an input longer than the model's positions, or what LibTorch
    /// reports.
    fn hidden(&self, ids: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError>;

    /// Logits of hidden states: (…, width) to (…, vocabulary), in the kind of the weights.
    ///
    /// Ask only for positions that are needed: the projection on the vocabulary is often the largest
    /// of the model. [`Batch::predicting`](crate::Batch::predicting) picks those that predict a target.
    ///
    /// # Errors
    /// What LibTorch reports.
    fn logits(&self, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError>;
}

/// Sizes of a model, and where and in what its weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelShape {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the hidden states.
    pub hidden_size: usize,
    /// Longest input: learned positions, those that a rotary model says it was made for, or the
    /// sliding window if that is shorter. Longer inputs are refused.
    pub max_positions: usize,
    /// Where the weights lie.
    pub device: Device,
    /// What the weights are kept in.
    pub kind: Kind,
}
