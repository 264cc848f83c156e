//! What a pass will take, before it starts.

use std::fmt;

use serde::Serialize;
use tamis_dataset::Sample;

use crate::{GoldenScorer, NuggetsError};

/// Arithmetic and memory of a pass, from a few of its candidates.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Candidates of the pass.
    pub candidates: usize,
    /// Those that will have no score.
    pub unscorable: f64,
    /// Anchors.
    pub anchors: usize,
    /// Tokens that the model will read, padding left out.
    pub tokens: f64,
    /// Tokens that it would read if every example were read again before every anchor.
    pub tokens_unshared: f64,
    /// Tokens whose probability will be taken.
    pub targets: f64,
    /// Floating-point operations of the matrix products with weights.
    pub flops: f64,
    /// Bytes of the weights.
    pub weights: u64,
    /// Bytes of the widest activations of one batch and its logits.
    pub activations: u64,
    /// Bytes, at most, of the keys and values of a batch of examples.
    pub cache: u64,
    /// Bytes of the rises on disk.
    pub disk: u64,
}

/// Bytes of a rise as text.
const RISE_BYTES: usize = 22;

impl GoldenScorer<'_> {
    /// Estimates a pass over `candidates` rows that are like `few` of them.
    ///
    /// # Errors
    /// As [`GoldenScorer::score`], but for the model.
    pub fn estimate(&self, few: &[Sample], candidates: usize) -> Result<Estimate, NuggetsError> {
        let examples = self.examples(few);
        let lengths = examples.iter().filter_map(|example| Some(example.as_ref().ok()?.len()));
        let (usable, read) = lengths.fold((0, 0), |(count, sum), tokens| (count + 1, sum + tokens));
        let scale = candidates as f64 / few.len().max(1) as f64;
        let (scored, read) = (scale * f64::from(usable), scale * read as f64);
        let anchors = self.anchors.len();
        let tokens = read + scored * self.anchors.tokens() as f64;
        let behind: usize = self.anchors.behind.iter().map(|tokens| tokens - 1).sum();
        let targets = scored * self.anchors.targets() as f64;
        let (model, shape) = (self.model, self.model.shape());
        let weight = |head: bool| -> f64 {
            let layers = model.layers().iter().filter(|layer| layer.head == head);
            layers.map(|layer| (layer.in_features * layer.out_features) as f64).sum()
        };
        let scalar = shape.kind.elt_size_in_bytes() as u64;
        let body = model.layers().iter().filter(|layer| !layer.head);
        let widest = body.map(|layer| layer.out_features as usize).max().unwrap_or(0);
        // The stream and its norm beside three of the widest outputs.
        let token = (3 * widest + 2 * shape.hidden_size) as u64 * scalar;
        let budget = self.params.token_budget as u64;
        let logits = budget.min(512) * shape.vocab_size as u64 * 8;
        Ok(Estimate {
            candidates,
            unscorable: candidates as f64 - scored,
            anchors,
            tokens,
            tokens_unshared: read * anchors as f64 + scored * behind as f64,
            targets,
            flops: 2.0 * (tokens * weight(false) + targets * weight(true)),
            weights: model.parameters().count() as u64 * scalar,
            activations: budget * token + logits,
            cache: budget * 2 * (model.blocks() * shape.hidden_size) as u64 * scalar,
            disk: (candidates * anchors * RISE_BYTES) as u64,
        })
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{} candidates (about {:.0} of them cannot be scored) before {} anchors, about {:.0} \
             tokens to read ({:.0} if examples were read again before every anchor) and {:.0} to \
             predict: {:.2} TFLOP; about {:.0} MiB for weights, {:.0} MiB for a batch, at most \
             {:.0} MiB for keys and values, {:.1} MiB on disk",
            self.candidates,
            self.unscorable,
            self.anchors,
            self.tokens,
            self.tokens_unshared,
            self.targets,
            self.flops / 1e12,
            mib(self.weights),
            mib(self.activations),
            mib(self.cache),
            mib(self.disk)
        )
    }
}
