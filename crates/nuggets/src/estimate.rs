//! What a pass will take, before it starts.

use tamis_artifact::Estimate;
use tamis_dataset::Sample;

use crate::{GoldenScorer, NuggetsError};

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
        let disk = (candidates * anchors * RISE_BYTES) as u64;
        Ok(Estimate::new()
            .count("rows", candidates as f64)
            .count("of them without a score", candidates as f64 - scored)
            .count("anchors", anchors as f64)
            .count("tokens to read", tokens)
            .count("if nothing were shared", read * anchors as f64 + scored * behind as f64)
            .count("tokens to predict", targets)
            .flops(2.0 * (tokens * weight(false) + targets * weight(true)))
            .memory("weights", model.parameters().count() as u64 * scalar)
            .memory("a batch", budget * token + logits)
            .memory(
                "keys and values",
                budget * 2 * (model.blocks() * shape.hidden_size) as u64 * scalar,
            )
            .disk("scores", disk))
    }
}
