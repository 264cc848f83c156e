//! What a pass of features will need, before it starts.

use tamis_artifact::Estimate;
use tamis_gradients::{PassParams, RowType};
use tamis_model::CausalLm;

use crate::{FeatureParams, WarmCheckpoint};

impl WarmCheckpoint {
    /// Memory and disk that the features of `samples` samples at this checkpoint will take.
    ///
    /// The model's own activations are estimated from the adapted layers alone, so a pass over a few layers of a large
    /// model needs more than `activations` says.
    pub fn estimate(
        &self,
        model: &dyn CausalLm,
        params: &FeatureParams,
        (pass, dtype): (&PassParams, RowType),
        samples: usize,
    ) -> Estimate {
        let (lora, shape) = (self.lora(), model.shape());
        let scalar = shape.kind.elt_size_in_bytes() as u64;
        let (wide, tokens) = (scalar.max(4), pass.token_budget as u64);
        let kind = lora.parameters().next().map_or(shape.kind, |(_, tensor)| tensor.kind());
        let numbers = lora.count() as u64;
        let layers = self.layers(model);
        let widths: u64 = layers.iter().map(|l| (l.in_features + 2 * l.out_features) as u64).sum();
        let dim = params.projection.dim();
        Estimate::new()
            .memory("weights", model.parameters().count() as u64 * scalar)
            .memory("adapter and moments", 3 * numbers * kind.elt_size_in_bytes() as u64)
            .memory("activations", tokens * widths * scalar)
            .memory("logits", tokens * shape.vocab_size as u64 * 3 * wide)
            .memory("projection", params.projection.bytes(numbers, kind))
            .memory("shard", (pass.shard_rows.min(samples) * dim) as u64 * wide)
            .disk("rows of a checkpoint", (samples * dtype.row_bytes(dim)) as u64)
    }
}
