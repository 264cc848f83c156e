//! What a pass of features will need, before it starts.

use std::fmt;

use tamis_finetune::Lora;
use tamis_gradients::{Bytes, FlatSpec, PassParams};
use tamis_model::{CausalLm, LayerInfo};

/// Memory and disk that the features of one checkpoint will take, in bytes.
///
/// The model's own activations are estimated from the adapted layers alone, so a pass over a few layers
/// of a large model needs more than `activations` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Estimate {
    /// Weights of the model.
    pub weights: u64,
    /// The adapter, and what of Adam's moments is kept beside it.
    pub adapter: u64,
    /// Inputs, outputs and output gradients of the adapted layers over one full batch.
    pub activations: u64,
    /// Logits, their log-softmax and its gradient, if every token of a batch were supervised.
    pub logits: u64,
    /// Tables of the projection.
    pub projection: u64,
    /// Rows of one shard.
    pub shard: u64,
    /// All rows of one checkpoint on disk.
    pub disk: u64,
}

impl Estimate {
    /// Estimates a pass over `samples` samples whose stored rows take `row` bytes each.
    pub fn new(
        model: &dyn CausalLm,
        (lora, layers): (&Lora, &[LayerInfo]),
        params: &PassParams,
        projection: &FlatSpec,
        (samples, row): (usize, usize),
    ) -> Self {
        let shape = model.shape();
        let scalar = shape.kind.elt_size_in_bytes() as u64;
        let (wide, tokens) = (scalar.max(4), params.token_budget as u64);
        let kind = lora.parameters().next().map_or(shape.kind, |(_, tensor)| tensor.kind());
        let numbers = lora.count() as u64;
        let widths: u64 = layers.iter().map(|l| (l.in_features + 2 * l.out_features) as u64).sum();
        Self {
            weights: model.parameters().count() as u64 * scalar,
            adapter: 3 * numbers * kind.elt_size_in_bytes() as u64,
            activations: tokens * widths * scalar,
            logits: tokens * shape.vocab_size as u64 * 3 * wide,
            projection: projection.bytes(numbers, kind),
            shard: (params.shard_rows.min(samples) * projection.dim()) as u64 * wide,
            disk: (samples * row) as u64,
        }
    }

    /// All of the memory, disk left out.
    pub fn memory(&self) -> u64 {
        let fixed = self.weights + self.adapter + self.projection + self.shard;
        fixed + self.activations + self.logits
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "about {} of memory (weights {}, adapter and moments {}, activations {}, logits {}, projection {}, \
             shard {}) and {} of disk a checkpoint",
            Bytes(self.memory()),
            Bytes(self.weights),
            Bytes(self.adapter),
            Bytes(self.activations),
            Bytes(self.logits),
            Bytes(self.projection),
            Bytes(self.shard),
            Bytes(self.disk),
        )
    }
}
