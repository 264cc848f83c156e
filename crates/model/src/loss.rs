//! Log-probabilities and losses of samples, with logits only where a target is predicted.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction as TorchReduction, Tensor};

use crate::{Batch, CausalLm, ModelError, Tap};

/// Logits held at once without gradients, so that they stay in the cache: 16 MiB in f32.
const LOGITS_AT_ONCE: usize = 1 << 22;
/// But never fewer rows than this: each piece reads the whole head, and below it that is felt.
const ROWS_AT_ONCE: usize = 512;
/// Keeps LibTorch from ignoring any target.
const IGNORE_NOTHING: i64 = -100;

/// How the losses of a sample's targets become the loss of the sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// Their sum: a long sample weighs more.
    Sum,
    /// Their mean, as most training code has it.
    #[default]
    Mean,
}

/// The natural logarithm of the probability that `model` gives each target: (targets,), in the
/// order of [`Batch::targets`].
///
/// Computed in f32 (f64 for an f64 model) whatever the kind of the weights. Without gradients a
/// large vocabulary projection is done in pieces, and the tap then sees the head once per piece.
///
/// # Errors
/// Those of [`CausalLm::hidden`] and [`CausalLm::logits`].
pub fn target_log_probs(
    model: &dyn CausalLm,
    batch: &Batch,
    tap: &mut dyn Tap,
) -> Result<Tensor, ModelError> {
    let hidden = model.hidden(&batch.ids, tap)?;
    log_probs_after(model, batch, &hidden, tap)
}

/// The same from the hidden states (batch, time, width) of the batch, for callers who have them
/// otherwise: behind the beginning that texts share, say.
///
/// # Errors
/// Those of [`CausalLm::logits`].
pub fn log_probs_after(
    model: &dyn CausalLm,
    batch: &Batch,
    hidden: &Tensor,
    tap: &mut dyn Tap,
) -> Result<Tensor, ModelError> {
    let hidden = batch.predicting(hidden)?;
    let targets = batch.target_count();
    let piece = (LOGITS_AT_ONCE / model.shape().vocab_size).max(ROWS_AT_ONCE);
    if hidden.requires_grad() || targets <= piece {
        return log_probs(model, &hidden, &batch.targets, tap);
    }
    let mut pieces = Vec::with_capacity(targets.div_ceil(piece));
    for start in (0..targets).step_by(piece) {
        let (start, count) = (start as i64, piece.min(targets - start) as i64);
        let hidden = hidden.f_narrow(0, start, count)?;
        let targets = batch.targets.f_narrow(0, start, count)?;
        pieces.push(log_probs(model, &hidden, &targets, tap)?);
    }
    Ok(Tensor::f_cat(&pieces, 0)?)
}

/// Log-probabilities of `targets` (n,) given the hidden states (n, width) that predict them.
fn log_probs(
    model: &dyn CausalLm,
    hidden: &Tensor,
    targets: &Tensor,
    tap: &mut dyn Tap,
) -> Result<Tensor, ModelError> {
    let logits = model.logits(hidden, tap)?;
    let logits = match logits.f_kind()? {
        Kind::Double | Kind::Float => logits,
        _ => logits.f_to_kind(Kind::Float)?,
    };
    if !logits.requires_grad() {
        // One pass less over the logits, and one matrix of their size less, than the log-softmax of
        // all of them in which the loss below looks up the targets.
        let scores = logits.f_gather(1, &targets.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
        return Ok(scores.f_sub(&logits.f_logsumexp([1], false)?)?);
    }
    let surprise = logits.f_cross_entropy_loss(
        targets,
        None::<Tensor>,
        TorchReduction::None,
        IGNORE_NOTHING,
        0.0,
    )?;
    Ok(surprise.f_neg()?)
}

/// The loss of each sample: (rows,), the summed or mean negative log-probability of its targets in
/// nats.
///
/// A sample's loss, and its gradient, do not depend on what else is in the batch.
///
/// # Errors
/// Those of [`target_log_probs`].
pub fn per_sample_loss(
    model: &dyn CausalLm,
    batch: &Batch,
    reduction: Reduction,
    tap: &mut dyn Tap,
) -> Result<Tensor, ModelError> {
    let log_probs = target_log_probs(model, batch, tap)?;
    let options = (log_probs.f_kind()?, log_probs.device());
    let zeros = Tensor::f_zeros([batch.len() as i64], options)?;
    let loss = zeros.f_index_add(0, &batch.rows, &log_probs.f_neg()?)?;
    match reduction {
        Reduction::Sum => Ok(loss),
        Reduction::Mean => {
            let counts: Vec<f64> = batch.counts.iter().map(|&count| count as f64).collect();
            let counts = Tensor::f_from_slice(&counts)?.f_to_kind(options.0)?;
            Ok(loss.f_div(&counts.f_to_device(options.1)?)?)
        }
    }
}
