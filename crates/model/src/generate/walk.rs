//! One continuation per prompt: greedy or sampled.

use tch::{Kind, Tensor};

use super::forward::{not_finite, prefill, room, step};
use super::params::{DecodingStrategy, Finish, GenerateParams, Generated};
use super::sample::Sampler;
use crate::{CausalLm, KvCache, ModelError, Tap};

/// A text that is being written.
struct Row {
    /// Its place among the prompts of the batch.
    place: usize,
    room: usize,
    ids: Vec<u32>,
    log_prob: f64,
    sampler: Option<Sampler>,
}

/// Continues `prompts`, which draw from `streams` where they draw.
pub(super) fn walk(
    model: &dyn CausalLm,
    prompts: &[&[u32]],
    streams: &[u64],
    params: &GenerateParams,
    tap: &mut dyn Tap,
) -> Result<Vec<Generated>, ModelError> {
    let mut results: Vec<Option<Generated>> = vec![None; prompts.len()];
    let mut rows: Vec<Row> = Vec::with_capacity(prompts.len());
    for (place, prompt) in prompts.iter().enumerate() {
        let sampler = match params.strategy {
            DecodingStrategy::Sample { temperature, top_p, top_k, seed } => {
                Some(Sampler::new(temperature, top_p, top_k, seed, streams[place]))
            }
            _ => None,
        };
        let room = room(params, model, prompt.len());
        rows.push(Row { place, room, ids: Vec::new(), log_prob: 0.0, sampler });
    }
    // The last token is never read.
    let longest = rows.iter().map(|row| row.room).max().unwrap_or(0);
    let (mut cache, mut logits) = prefill(model, prompts, longest.saturating_sub(1), tap)?;
    loop {
        let chosen = choose(&logits, &mut rows)?;
        if chosen.iter().any(|(_, log_prob)| !log_prob.is_finite()) {
            return Err(not_finite(model, rows[0].ids.len(), rows.len()));
        }
        let mut next = Vec::with_capacity(rows.len());
        let mut kept = Vec::with_capacity(rows.len());
        for (number, (mut row, (id, log_prob))) in
            std::mem::take(&mut rows).into_iter().zip(chosen).enumerate()
        {
            row.log_prob += log_prob;
            let stopped = params.stop.contains(&id);
            if !stopped {
                row.ids.push(id);
            }
            if stopped || row.ids.len() == row.room {
                let finish = if stopped { Finish::Stop } else { Finish::Length };
                let Row { place, ids, log_prob, .. } = row;
                results[place] = Some(Generated { ids, finish, log_prob });
            } else {
                kept.push(number);
                next.push(id);
                rows.push(row);
            }
        }
        if rows.is_empty() {
            return Ok(results.into_iter().flatten().collect());
        }
        drop_finished(&mut cache, &kept)?;
        logits = step(model, &next, &mut cache, tap)?;
    }
}

/// Takes finished rows out of the cache.
fn drop_finished(cache: &mut KvCache, kept: &[usize]) -> Result<(), ModelError> {
    if kept.len() < cache.rows() { cache.select(kept) } else { Ok(()) }
}

/// The next token of every row and its log-probability.
fn choose(logits: &Tensor, rows: &mut [Row]) -> Result<Vec<(u32, f64)>, ModelError> {
    let ids = match rows.iter_mut().map(|row| row.sampler.as_mut()).collect::<Option<Vec<_>>>() {
        Some(mut samplers) => Sampler::draw(&mut samplers, logits)?,
        None => logits.f_argmax(-1, false)?,
    };
    let picked = logits.f_gather(1, &ids.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
    let log_probs = picked.f_sub(&logits.f_logsumexp([-1i64].as_slice(), false)?)?;
    let log_probs: Vec<f64> = Vec::try_from(&log_probs.f_to_kind(Kind::Double)?)?;
    let ids: Vec<i64> = Vec::try_from(&ids)?;
    Ok(ids.into_iter().map(|id| id as u32).zip(log_probs).collect())
}
