//! What a pass will need, before it starts.

use std::fmt;

use tamis_model::{CausalLm, LayerInfo};

use crate::trace::gradient_size;
use crate::{PassParams, ProjectionSpec, RowType};

/// Memory and disk a gradient pass will take, in bytes.
///
/// The model's own activations are estimated from the tapped layers alone: a pass over a few layers
/// of a large model needs more than `activations` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Estimate {
    /// Weights of the model.
    pub weights: u64,
    /// Inputs, outputs and output gradients of the chosen layers over one full batch.
    pub activations: u64,
    /// Logits, their log-softmax and its gradient, if every token of a batch were supervised.
    pub logits: u64,
    /// The projection's own matrices or tables.
    pub projection: u64,
    /// Rows of one shard.
    pub shard: u64,
    /// Bytes of one stored row.
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
        let scalar = if shape.kind == tch::Kind::Double { 8 } else { 4 };
        let tokens = params.token_budget as u64;
        let widths: u64 = layers.iter().map(|l| (l.in_features + 2 * l.out_features) as u64).sum();
        let width = projection.width(layers) as u64;
        let tables = match *projection {
            ProjectionSpec::Full => 0,
            ProjectionSpec::TwoSided { out, r#in, .. } => layers
                .iter()
                .map(|l| out as u64 * l.out_features as u64 + r#in as u64 * l.in_features as u64)
                .map(|entries| entries * scalar)
                .sum(),
            // A place of four bytes and a sign of the model's type for every entry.
            ProjectionSpec::Sparse { .. } => {
                layers.iter().map(|l| gradient_size(l) as u64 * (4 + scalar)).sum()
            }
        };
        let row = width * dtype.bytes() as u64;
        Self {
            weights: model.parameters().count() as u64 * scalar,
            activations: tokens * widths * scalar,
            logits: tokens * shape.vocab_size as u64 * 3 * scalar,
            projection: tables,
            shard: params.shard_rows.min(samples) as u64 * width * scalar,
            row,
            disk: row * samples as u64,
        }
    }

    /// All of the memory, disk left out.
    pub fn memory(&self) -> u64 {
        self.weights + self.activations + self.logits + self.projection + self.shard
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "about {} of memory (weights {}, activations {}, logits {}, projection {}, shard {}) \
             and {} of disk ({} a row)",
            Bytes(self.memory()),
            Bytes(self.weights),
            Bytes(self.activations),
            Bytes(self.logits),
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
