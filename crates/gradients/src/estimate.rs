//! What a pass will need, before it starts.

use tamis_artifact::Estimate;

use crate::projection::sides;
use crate::trace::{gradient_columns, gradient_size, most_texts};
use crate::{GradientPass, ProjectionSpec, RowType};

/// Tokens of a text that counts as short: the fewer, the more rows a batch has.
pub const SHORT_TEXT: u64 = 32;

impl GradientPass<'_> {
    /// Memory and disk that the pass will take over `samples` samples whose projected gradients are stored.
    ///
    /// - `weights`: of the model.
    /// - `activations`: inputs, outputs and output gradients of the chosen layers over one full batch. The model's own are
    ///   estimated from these alone: a pass over a few layers of a large model needs more.
    /// - `logits`: with their log-softmax and its gradient, if every token of a batch were supervised.
    /// - `formed gradients`: of the largest layer for one batch of texts of [`SHORT_TEXT`] tokens; a batch of longer texts
    ///   has fewer rows. Two-sided projection alone forms none.
    /// - `projection`: its own matrices or tables.
    /// - `shard`: rows of one shard.
    ///
    /// What reducers hold of their own (the whole gradients of seeds, say) is theirs to tell.
    pub fn estimate(&self, spec: &ProjectionSpec, dtype: RowType, samples: usize) -> Estimate {
        let Self { model, layers, params } = *self;
        let shape = model.shape();
        let scalar = shape.kind.elt_size_in_bytes() as u64;
        let wide = scalar.max(4);
        let tokens = params.token_budget as u64;
        let widths: u64 = layers.iter().map(|l| (l.in_features + 2 * l.out_features) as u64).sum();
        let width = spec.width(layers) as u64;
        let tables = match *spec {
            ProjectionSpec::Full => 0,
            ProjectionSpec::TwoSided { out, r#in, .. } | ProjectionSpec::Pca { out, r#in } => {
                layers
                    .iter()
                    .map(|l| (sides(l, out, r#in), l))
                    .map(|((p, q), l)| {
                        (p * l.out_features + q * gradient_columns(l)) as u64 * scalar
                    })
                    .sum()
            }
            // A place of four bytes and a sign of the model's type for every entry.
            ProjectionSpec::Sparse { .. } => {
                layers.iter().map(|l| gradient_size(l) as u64 * (4 + scalar)).sum()
            }
        };
        let largest = layers.iter().map(|l| gradient_size(l) as u64).max().unwrap_or(0);
        let texts = most_texts(tokens, SHORT_TEXT);
        Estimate::new()
            .memory("weights", model.parameters().count() as u64 * scalar)
            .memory("activations", tokens * widths * scalar)
            .memory("logits", tokens * shape.vocab_size as u64 * 3 * wide)
            .memory("formed gradients", texts * largest * scalar)
            .memory("projection", tables)
            .memory("shard", params.shard_rows.min(samples) as u64 * width * wide)
            .disk("rows", (dtype.row_bytes(width as usize) * samples) as u64)
    }
}
