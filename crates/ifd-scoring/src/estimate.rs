//! What a scoring pass will take, before it starts.

use std::fmt;

use serde::Serialize;
use tamis_dataset::Sample;

use crate::rows::Row;
use crate::{IfdError, Scorer};

/// Arithmetic and memory of a pass, from a few of its samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Samples of the pass.
    pub samples: usize,
    /// Tokens that the model will read, padding left out.
    pub tokens: f64,
    /// Tokens whose probability will be taken.
    pub targets: f64,
    /// Floating-point operations of the matrix products with weights.
    pub flops: f64,
    /// Bytes of the weights.
    pub weights: u64,
    /// Bytes of the widest activations of one batch and its logits.
    pub activations: u64,
}

impl Scorer<'_> {
    /// Estimates a pass over `samples` samples that are like `few` of them.
    ///
    /// # Errors
    /// As [`Scorer::score`], but for the model.
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
        Ok(Estimate {
            samples,
            tokens,
            targets,
            flops: 2.0 * (tokens * weight(false) + targets * weight(true)),
            weights: model.parameters().count() as u64 * scalar,
            activations: self.params.token_budget as u64 * token + logits,
        })
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{} samples, about {:.0} tokens to read and {:.0} to predict: {:.2} TFLOP; about \
             {:.0} MiB for weights and {:.0} MiB for a batch",
            self.samples,
            self.tokens,
            self.targets,
            self.flops / 1e12,
            mib(self.weights),
            mib(self.activations)
        )
    }
}
