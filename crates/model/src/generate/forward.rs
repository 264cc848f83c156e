//! Forward passes of generation: the prompts once, then one token a row.

use tch::{Kind, Tensor};

use super::params::GenerateParams;
use crate::{CausalLm, KvCache, ModelError, Tap};

/// Reads right-padded prompts into a new cache; returns it with the logits, in f32 or f64, of what
/// follows each prompt: (rows, vocabulary).
pub(super) fn prefill(
    model: &dyn CausalLm,
    prompts: &[&[u32]],
    more: usize,
    tap: &mut dyn Tap,
) -> Result<(KvCache, Tensor), ModelError> {
    let lengths: Vec<usize> = prompts.iter().map(|prompt| prompt.len()).collect();
    let time = lengths.iter().copied().max().unwrap_or(0);
    let mut ids = vec![0i64; prompts.len() * time];
    for (row, prompt) in prompts.iter().enumerate() {
        for (column, &id) in prompt.iter().enumerate() {
            ids[row * time + column] = i64::from(id);
        }
    }
    let device = model.shape().device;
    let ids = Tensor::f_from_slice(&ids)?.f_view([prompts.len() as i64, time as i64])?;
    let mut cache = KvCache::new(&lengths, more);
    let hidden = model.extend(&ids.f_to_device(device)?, &mut cache, tap)?;
    let last = lengths.iter().enumerate().map(|(row, length)| (row * time + length - 1) as i64);
    let last = Tensor::f_from_slice(&last.collect::<Vec<_>>())?.f_to_device(device)?;
    let width = model.shape().hidden_size as i64;
    let hidden = hidden.f_reshape([-1, width])?.f_index_select(0, &last)?;
    Ok((cache, logits(model, &hidden, tap)?))
}

/// Logits of one more token of every row.
pub(super) fn step(
    model: &dyn CausalLm,
    tokens: &[u32],
    cache: &mut KvCache,
    tap: &mut dyn Tap,
) -> Result<Tensor, ModelError> {
    let ids: Vec<i64> = tokens.iter().map(|&id| i64::from(id)).collect();
    let ids = Tensor::f_from_slice(&ids)?.f_unsqueeze(1)?.f_to_device(model.shape().device)?;
    let hidden = model.extend(&ids, cache, tap)?.f_squeeze_dim(1)?;
    logits(model, &hidden, tap)
}

fn logits(model: &dyn CausalLm, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
    let logits = tch::no_grad(|| model.logits(hidden, tap))?;
    let kind = logits.f_kind()?;
    if matches!(kind, Kind::Float | Kind::Double) {
        return Ok(logits);
    }
    Ok(logits.f_to_kind(Kind::Float)?)
}

/// Tokens that may follow a prompt of `length`.
pub(super) fn room(params: &GenerateParams, model: &dyn CausalLm, length: usize) -> usize {
    params.max_new_tokens.min(model.shape().max_positions - length)
}

/// The error of logits that are not finite.
pub(super) fn not_finite(model: &dyn CausalLm, step: usize, rows: usize) -> ModelError {
    ModelError::Logits { step, rows, kind: model.shape().kind }
}
