//! What a pass will need, before it starts.

use std::fmt;

use tamis_model::{CausalLm, LayerInfo};

use crate::projection::sides;
use crate::trace::{gradient_columns, gradient_size};
use crate::{PassParams, ProjectionSpec, RowType};

/// Tokens of a text that counts as short: the fewer, the more rows a batch has.
pub const SHORT_TEXT: u64 = 32;

/// Memory and disk a gradient pass will take, in bytes.
///
/// The model's own activations are estimated from the tapped layers alone: a pass over a few layers
/// of a large model needs more than `activations` says. What reducers hold of their own (the whole
/// gradients of seeds, say) is theirs to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Estimate {
    /// Weights of the model.
    pub weights: u64,
    /// Inputs, outputs and output gradients of the chosen layers over one full batch.
    pub activations: u64,
    /// Logits, their log-softmax and its gradient, if every token of a batch were supervised.
    pub logits: u64,
    /// Formed gradients of the largest layer for one batch of texts of [`SHORT_TEXT`] tokens; a
    /// batch of longer texts has fewer rows. Two-sided projection alone forms none.
    pub formed: u64,
    /// The projection's own matrices or tables.
    pub projection: u64,
    /// Rows of one shard.
    pub shard: u64,
    /// Bytes of one stored row, the scale of a packed one included.
    pub row: u64,
    /// All rows on disk.
    pub disk: u64,
}

impl Estimate {
    /// Estimates a pass over `samples` samples.
    pub fn new(
        model: &dyn CausalLm,
        layers: &[LayerInfo],
        params: &PassParams,
        projection: &ProjectionSpec,
        dtype: RowType,
        samples: usize,
    ) -> Self {
        let shape = model.shape();
        let scalar = shape.kind.elt_size_in_bytes() as u64;
        let wide = scalar.max(4);
        let tokens = params.token_budget as u64;
        let widths: u64 = layers.iter().map(|l| (l.in_features + 2 * l.out_features) as u64).sum();
        let width = projection.width(layers) as u64;
        let tables = match *projection {
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
        let row = dtype.row_bytes(width as usize) as u64;
        let largest = layers.iter().map(|l| gradient_size(l) as u64).max().unwrap_or(0);
        Self {
            weights: model.parameters().count() as u64 * scalar,
            activations: tokens * widths * scalar,
            logits: tokens * shape.vocab_size as u64 * 3 * wide,
            formed: tokens.div_ceil(SHORT_TEXT) * largest * scalar,
            projection: tables,
            shard: params.shard_rows.min(samples) as u64 * width * wide,
            row,
            disk: row * samples as u64,
        }
    }

    /// All of the memory, disk left out.
    pub fn memory(&self) -> u64 {
        self.weights + self.activations + self.logits + self.formed + self.projection + self.shard
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "about {} of memory (weights {}, activations {}, logits {}, formed gradients {}, projection {}, \
             shard {}) \
             and {} of disk ({} a row)",
            Bytes(self.memory()),
            Bytes(self.weights),
            Bytes(self.activations),
            Bytes(self.logits),
            Bytes(self.formed),
            Bytes(self.projection),
            Bytes(self.shard),
            Bytes(self.disk),
            Bytes(self.row),
        )
    }
}

/// Bytes, printed in binary units: `14.0 KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut value = self.0 as f64;
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024.0 {
                return if unit == "B" {
                    write!(f, "{value} B")
                } else {
                    write!(f, "{value:.1} {unit}")
                };
            }
            value /= 1024.0;
        }
        write!(f, "{value:.1} TiB")
    }
}
