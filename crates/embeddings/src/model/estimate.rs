//! What embedding a data set will take, before it starts.

use std::fmt;

use serde::Serialize;
use tamis_dataset::{Encoded, Outcome, Sample};

use crate::{Embedder, EmbeddingsError};

/// Arithmetic, memory and disk of a pass, from a few of its samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Samples of the pass.
    pub samples: usize,
    /// Tokens that the model will read, padding left out.
    pub tokens: f64,
    /// Floating-point operations of the matrix products with weights.
    pub flops: f64,
    /// Bytes of the weights.
    pub weights: u64,
    /// Bytes of the widest activations of one batch.
    pub activations: u64,
    /// Bytes of the embeddings on disk.
    pub disk: u64,
}

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
        Ok(Estimate {
            samples,
            tokens,
            flops: 2.0 * tokens * weights,
            weights: self.model.parameters().count() as u64 * scalar,
            activations: self.params.token_budget as u64 * token,
            disk: (samples * shape.hidden_size * 4) as u64,
        })
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{} samples, about {:.0} tokens: {:.2} TFLOP; about {:.0} MiB for weights and {:.0} MiB \
             for a batch, {:.1} MiB on disk",
            self.samples,
            self.tokens,
            self.flops / 1e12,
            mib(self.weights),
            mib(self.activations),
            mib(self.disk)
        )
    }
}
