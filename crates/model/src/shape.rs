//! Sizes of a model.

use tch::{Device, Kind};

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
