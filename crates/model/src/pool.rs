//! One vector per sample: the mean of its hidden states.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{Batch, CausalLm, ModelError, NoTap};

/// Which tokens of a sample are averaged over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// All real tokens.
    #[default]
    All,
    /// The target tokens: the hidden states *at* them, not those that predict them.
    Targets,
    /// All real tokens, later ones more: position i of n, counted from 1, has the weight i / (1 + … + n).
    /// A causal model has seen most of the text there. That of RDS+ (arXiv 2503.01807).
    Weighted,
}

/// The mean of each sample's hidden states after the final norm, weighted as `pool` says: (rows, width), in f32 (f64 for an
/// f64 model). Padding does not count.
///
/// # Errors
/// Those of [`CausalLm::hidden`].
pub fn mean_pooled_hidden(
    model: &dyn CausalLm,
    batch: &Batch,
    pool: Pool,
) -> Result<Tensor, ModelError> {
    let hidden = model.hidden(&batch.ids, &mut NoTap)?;
    let (rows, time, width) = hidden.size3()?;
    let kind = if hidden.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float };
    let options = (kind, hidden.device());
    // One weight per position, 0 where none counts; the mean is then one batched product.
    let weights = match pool {
        Pool::All => {
            let mut weights = vec![0f64; (rows * time) as usize];
            for (row, &length) in batch.lengths.iter().enumerate() {
                let start = row * time as usize;
                weights[start..start + length].fill(1.0 / length as f64);
            }
            Tensor::f_from_slice(&weights)?.f_to_kind(kind)?.f_to_device(options.1)?
        }
        Pool::Weighted => {
            let mut weights = vec![0f64; (rows * time) as usize];
            for (row, &length) in batch.lengths.iter().enumerate() {
                let start = row * time as usize;
                let sum = (length * (length + 1) / 2) as f64;
                for (place, weight) in weights[start..start + length].iter_mut().enumerate() {
                    *weight = (place + 1) as f64 / sum;
                }
            }
            Tensor::f_from_slice(&weights)?.f_to_kind(kind)?.f_to_device(options.1)?
        }
        Pool::Targets => {
            let counts: Vec<f64> = batch.counts.iter().map(|&count| 1.0 / count as f64).collect();
            let counts = Tensor::f_from_slice(&counts)?.f_to_kind(kind)?.f_to_device(options.1)?;
            // The target stands one place after the position that predicts it.
            let places = batch.positions.f_add_scalar(1)?;
            let share = counts.f_index_select(0, &batch.rows)?;
            Tensor::f_zeros([rows * time], options)?.f_index_add(0, &places, &share)?
        }
    };
    let weights = weights.f_view([rows, 1, time])?;
    Ok(weights.f_bmm(&hidden.f_to_kind(kind)?)?.f_view([rows, width])?)
}
