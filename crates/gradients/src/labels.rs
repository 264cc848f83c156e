//! Labels drawn from the model's own softmax.

use tamis_artifact::Random;
use tch::{Kind, Tensor};

use crate::GradientError;

/// Rows drawn at a time: their distribution functions are held in f64.
const CHUNK: usize = 256;

/// Draws one label for each row of `log_probs` (targets, vocabulary).
///
/// Row `k` of the sample named `id` is drawn by inverting the distribution function at a uniform
/// number that depends on the seed, the id and `k` alone, so a sample's labels do not depend on the
/// batch it comes in.
pub(crate) fn sample(
    log_probs: &Tensor,
    counts: &[usize],
    ids: &[&str],
    seed: u64,
) -> Result<Tensor, GradientError> {
    let mut uniform = Vec::with_capacity(counts.iter().sum());
    for (id, &count) in ids.iter().zip(counts) {
        let mut random = Random::keyed(seed, "labels", id);
        uniform.extend((0..count).map(|_| random.fraction()));
    }
    let uniform =
        Tensor::f_from_slice(&uniform)?.f_to_device(log_probs.device())?.f_unsqueeze(1)?;
    let (rows, vocabulary) = log_probs.size2()?;
    let mut drawn = Vec::new();
    for first in (0..rows).step_by(CHUNK) {
        let count = (rows - first).min(CHUNK as i64);
        let part = log_probs.f_narrow(0, first, count)?;
        let cumulative = part.f_exp()?.f_cumsum(1, Kind::Double)?;
        // Scaled by the row's own total, so that rounding cannot push a draw past the last token.
        let total = cumulative.f_narrow(1, vocabulary - 1, 1)?;
        let at = uniform.f_narrow(0, first, count)?.f_mul(&total)?;
        drawn.push(at.f_searchsorted(&cumulative, false, true, "right", None::<Tensor>)?);
    }
    Ok(Tensor::f_cat(&drawn, 0)?.f_squeeze_dim(1)?.f_clamp_max(vocabulary - 1)?)
}
