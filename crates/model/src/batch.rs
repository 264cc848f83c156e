//! A right-padded batch of tokenised samples as tensors.

use tamis_dataset::Encoded;
use tch::{Device, Tensor};

use crate::ModelError;

/// A right-padded batch and the places in it where a target is predicted.
///
/// A target token at position `t` is predicted from the hidden state at `t − 1`; the fields below
/// speak of these predicting positions, flattened over (batch, time).
#[derive(Debug)]
pub struct Batch {
    /// Token ids, (batch, time), `Kind::Int64`.
    pub ids: Tensor,
    /// Tokens of each row that are read.
    pub lengths: Vec<usize>,
    /// Positions `row · time + (t − 1)` that predict a target, (targets,), `Kind::Int64`, rows in order.
    pub positions: Tensor,
    /// The target tokens, (targets,), `Kind::Int64`.
    pub targets: Tensor,
    /// The row of each target, (targets,), `Kind::Int64`.
    pub rows: Tensor,
    /// Number of targets of each row.
    pub counts: Vec<usize>,
}

impl Batch {
    /// Pads `samples` to the longest and moves the batch to `device`.
    ///
    /// # Errors
    /// An empty batch, a row without a target or with a mask of another length, or what LibTorch
    /// reports.
    pub fn new(samples: &[&Encoded], device: Device) -> Result<Self, ModelError> {
        Self::reading(samples, |sample| sample.ids.len(), device)
    }

    /// The same without what stands behind the last position that predicts a target: all that a
    /// loss needs, for callers who do not look at other hidden states.
    ///
    /// # Errors
    /// As [`Batch::new`].
    pub fn predicting_only(samples: &[&Encoded], device: Device) -> Result<Self, ModelError> {
        Self::reading(samples, predicting, device)
    }

    /// Of each sample, as many tokens as `read` says.
    fn reading(
        samples: &[&Encoded],
        read: fn(&Encoded) -> usize,
        device: Device,
    ) -> Result<Self, ModelError> {
        let time = samples.iter().map(|sample| read(sample)).max().unwrap_or(0);
        if time == 0 {
            return Err(ModelError::EmptyBatch);
        }
        let mut ids = vec![0i64; samples.len() * time];
        let (mut positions, mut targets, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut counts = Vec::with_capacity(samples.len());
        for (row, sample) in samples.iter().enumerate() {
            if sample.supervised.len() != sample.ids.len() {
                return Err(ModelError::BadInput {
                    what: "mask of supervised tokens",
                    found: format!("length {} in sample `{}`", sample.supervised.len(), sample.id),
                    expected: format!("as many as its tokens, {}", sample.ids.len()),
                });
            }
            let before = targets.len();
            for (t, (&id, &supervised)) in sample.ids.iter().zip(&sample.supervised).enumerate() {
                if t < read(sample) {
                    ids[row * time + t] = i64::from(id);
                }
                // The first token has nothing to be predicted from.
                if supervised && t > 0 {
                    positions.push((row * time + t - 1) as i64);
                    targets.push(i64::from(id));
                    rows.push(row as i64);
                }
            }
            if targets.len() == before {
                return Err(ModelError::NoTarget { id: sample.id.to_string() });
            }
            counts.push(targets.len() - before);
        }
        Ok(Self {
            ids: Tensor::f_from_slice(&ids)?
                .f_view([samples.len() as i64, time as i64])?
                .f_to_device(device)?,
            lengths: samples.iter().map(|sample| read(sample)).collect(),
            positions: Tensor::f_from_slice(&positions)?.f_to_device(device)?,
            targets: Tensor::f_from_slice(&targets)?.f_to_device(device)?,
            rows: Tensor::f_from_slice(&rows)?.f_to_device(device)?,
            counts,
        })
    }

    /// Rows of the batch.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether the batch has no row; never true of a batch made by [`Batch::new`].
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Number of targets over all rows.
    pub fn target_count(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The hidden states that predict a target: (batch, time, width) to (targets, width).
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn predicting(&self, hidden: &Tensor) -> Result<Tensor, ModelError> {
        let width = hidden.size().last().copied().unwrap_or(0);
        Ok(hidden.f_reshape([-1, width])?.f_index_select(0, &self.positions)?)
    }
}

/// Tokens up to the last position that predicts a target.
fn predicting(sample: &Encoded) -> usize {
    sample.supervised.iter().rposition(|&target| target).unwrap_or(0)
}
