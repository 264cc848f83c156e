//! What embedding a data set will take, before it starts.

use tamis_artifact::Estimate;
use tamis_dataset::{Encoded, Outcome, Sample};

use crate::{Embedder, EmbeddingsError};

impl Embedder<'_> {
    /// Estimates a pass over `samples` samples that are like `few` of them.
    ///
    /// # Errors
    /// Content that does not fit the template.
    pub fn estimate(&self, few: &[Sample], samples: usize) -> Result<Estimate, EmbeddingsError> {
        let encoded = self.encoder.encode_all(few);
        let read: usize = encoded.iter().filter_map(Outcome::as_scored).map(Encoded::len).sum();
        let tokens = samples as f64 * read as f64 / few.len().max(1) as f64;
        let shape = self.model.shape();
        // The head is not run.
        let layers = || self.model.layers().iter().filter(|layer| !layer.head);
        let weights: f64 = layers().map(|l| (l.in_features * l.out_features) as f64).sum();
        let widest = layers().map(|layer| layer.out_features as usize).max().unwrap_or(0);
        let scalar = shape.kind.elt_size_in_bytes() as u64;
        // The stream and its norm beside three of the widest outputs.
        let token = (3 * widest + 2 * shape.hidden_size) as u64 * scalar;
        Ok(Estimate::new()
            .count("rows", samples as f64)
            .count("tokens to read", tokens)
            .flops(2.0 * tokens * weights)
            .memory("weights", self.model.parameters().count() as u64 * scalar)
            .memory("a batch", self.params.token_budget as u64 * token)
            .disk("embeddings", (samples * shape.hidden_size * 4) as u64))
    }
}
