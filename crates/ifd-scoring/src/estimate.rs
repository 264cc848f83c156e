//! What a scoring pass will take, before it starts.

use tamis_artifact::Estimate;
use tamis_dataset::Sample;

use crate::rows::Row;
use crate::{IfdError, IfdScorer};

impl IfdScorer<'_> {
    /// Estimates a pass over `samples` samples that are like `few` of them.
    ///
    /// # Errors
    /// As [`IfdScorer::score`], but for the model.
    pub fn estimate(&self, few: &[Sample], samples: usize) -> Result<Estimate, IfdError> {
        let (plan, _) = self.planner().plan(few)?;
        let scale = samples as f64 / few.len().max(1) as f64;
        let sum = |of: fn(&Row) -> usize| {
            scale * plan.rows.iter().map(|row| of(row)).sum::<usize>() as f64
        };
        let (tokens, targets) = (sum(Row::inputs), sum(Row::targets));
        let (model, shape) = (self.model, self.model.shape());
        let weight = |head: bool| -> f64 {
            let layers = model.layers().iter().filter(|layer| layer.head == head);
            layers.map(|layer| (layer.in_features * layer.out_features) as f64).sum()
        };
        let scalar = shape.kind.elt_size_in_bytes() as u64;
        let widest = model
            .layers()
            .iter()
            .filter(|l| !l.head)
            .map(|l| l.out_features as usize)
            .max()
            .unwrap_or(0);
        // The stream and its norm beside three of the widest outputs; logits come in pieces.
        let token = (3 * widest + 2 * shape.hidden_size) as u64 * scalar;
        let logits = self.params.token_budget.min(256) as u64 * shape.vocab_size as u64 * 8;
        Ok(Estimate::new()
            .count("rows", samples as f64)
            .count("tokens to read", tokens)
            .count("tokens to predict", targets)
            .flops(2.0 * (tokens * weight(false) + targets * weight(true)))
            .memory("weights", model.parameters().count() as u64 * scalar)
            .memory("a batch", self.params.token_budget as u64 * token + logits))
    }
}
