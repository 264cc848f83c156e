//! Beam search.
//!
//! The rules are those of the `transformers` library, so that results agree: among the best
//! (stop tokens + 1, at least 2) · beams continuations of a prompt, those that end and are among the
//! first `beams` become complete hypotheses, and the best `beams` that do not end run on. Running
//! hypotheses that reach the limit count as complete. A prompt is finished once `beams` hypotheses
//! are complete and the best running one, at its present length, is not better than the worst.

use tch::{Kind, Tensor};

use super::forward::{not_finite, prefill, room, step};
use super::params::{DecodingStrategy, Finish, GenerateParams, Generated};
use crate::{CausalLm, ModelError, Tap};

/// An unfinished hypothesis.
#[derive(Clone)]
struct Running {
    ids: Vec<u32>,
    log_prob: f64,
}

/// A complete hypothesis with what it is compared by.
struct Complete {
    text: Generated,
    score: f64,
}

/// The search that continues one prompt.
struct Search {
    /// Place of the prompt in the batch.
    place: usize,
    room: usize,
    running: Vec<Running>,
    /// Best first, at most `beams`.
    complete: Vec<Complete>,
}

/// The settings that a search needs.
#[derive(Clone, Copy)]
struct Rules<'a> {
    beams: usize,
    length_penalty: f64,
    early_stopping: bool,
    stop: &'a [u32],
}

/// A continuation: which running hypothesis, which token, and their log-probability.
type Continuation = (usize, u32, f64);

/// Continues `prompts` by the most probable text that is found.
pub(super) fn search(
    model: &dyn CausalLm,
    prompts: &[&[u32]],
    params: &GenerateParams,
    tap: &mut dyn Tap,
) -> Result<Vec<Generated>, ModelError> {
    let DecodingStrategy::Beam { beams, length_penalty, early_stopping } = params.strategy else {
        return Err(ModelError::Option {
            what: "strategy",
            found: format!("{:?}", params.strategy),
            expected: "beam",
        });
    };
    let (wanted, vocabulary) = (wanted(beams, &params.stop), model.shape().vocab_size);
    if wanted > vocabulary {
        return Err(ModelError::Option {
            what: "beams",
            found: format!("{beams} with {} stop tokens", params.stop.len()),
            expected: "so few that the vocabulary holds all continuations that are compared",
        });
    }
    let rules = Rules { beams, length_penalty, early_stopping, stop: &params.stop };
    let mut results: Vec<Option<Generated>> = Vec::new();
    results.resize_with(prompts.len(), || None);
    let mut searches: Vec<Search> = prompts
        .iter()
        .enumerate()
        .map(|(place, prompt)| Search {
            place,
            room: room(params, model, prompt.len()),
            running: vec![Running { ids: Vec::new(), log_prob: 0.0 }],
            complete: Vec::new(),
        })
        .collect();
    let longest = searches.iter().map(|search| search.room).max().unwrap_or(0);
    let (mut cache, mut logits) = prefill(model, prompts, longest.saturating_sub(1), tap)?;
    loop {
        let continuations = continuations(&logits, &searches, &rules)?;
        if continuations.iter().any(|found| !found[0].2.is_finite()) {
            let step = searches[0].running[0].ids.len();
            return Err(not_finite(model, step, searches.len()));
        }
        // Rows of the cache that go on, and the token each reads next.
        let (mut rows, mut next) = (Vec::new(), Vec::new());
        let mut first = 0;
        for (mut search, found) in std::mem::take(&mut searches).into_iter().zip(continuations) {
            let width = search.running.len();
            let parents = search.advance(&found, &rules);
            if search.is_finished(&rules) {
                let place = search.place;
                results[place] = search.best();
            } else {
                rows.extend(parents.iter().map(|parent| first + parent));
                next.extend(search.running.iter().filter_map(|r| r.ids.last().copied()));
                searches.push(search);
            }
            first += width;
        }
        if searches.is_empty() {
            return Ok(results.into_iter().flatten().collect());
        }
        cache.select(&rows)?;
        logits = step(model, &next, &mut cache, tap)?;
    }
}

/// So many continuations are looked at that `beams` remain if every hypothesis ends in every way.
fn wanted(beams: usize, stop: &[u32]) -> usize {
    2.max(1 + stop.len()) * beams
}

/// The best continuations of every search, best first.
fn continuations(
    logits: &Tensor,
    searches: &[Search],
    rules: &Rules<'_>,
) -> Result<Vec<Vec<Continuation>>, ModelError> {
    let vocabulary = logits.size()[1];
    let log_probs = logits.f_log_softmax(-1, None)?;
    let options = (log_probs.f_kind()?, log_probs.device());
    let so_far = searches.iter().flat_map(|s| s.running.iter().map(|r| r.log_prob));
    let so_far = Tensor::f_from_slice(&so_far.collect::<Vec<_>>())?;
    let so_far = so_far.f_to_kind(options.0)?.f_to_device(options.1)?;
    let sums = log_probs.f_add(&so_far.f_unsqueeze(1)?)?;
    // Searches have the same number of running hypotheses: one at first, then `beams`.
    let width = searches.first().map_or(1, |search| search.running.len()) as i64;
    let sums = sums.f_view([searches.len() as i64, width * vocabulary])?;
    let wanted = wanted(rules.beams, rules.stop) as i64;
    let (values, places) = sums.f_topk(wanted, -1, true, true)?;
    let values: Vec<f64> = Vec::try_from(&values.f_to_kind(Kind::Double)?.f_flatten(0, -1)?)?;
    let places: Vec<i64> = Vec::try_from(&places.f_flatten(0, -1)?)?;
    let all: Vec<Continuation> = places
        .into_iter()
        .zip(values)
        .map(|(place, value)| ((place / vocabulary) as usize, (place % vocabulary) as u32, value))
        .collect();
    Ok(all.chunks(wanted as usize).map(<[_]>::to_vec).collect())
}

impl Search {
    /// Goes on by one token; returns the hypotheses that the new running ones continue.
    fn advance(&mut self, found: &[Continuation], rules: &Rules<'_>) -> Vec<usize> {
        let mut running = Vec::with_capacity(rules.beams);
        let mut parents = Vec::with_capacity(rules.beams);
        for (rank, &(parent, id, log_prob)) in found.iter().enumerate() {
            let stopped = rules.stop.contains(&id);
            let mut ids = self.running[parent].ids.clone();
            let length = ids.len() + 1;
            if !stopped {
                ids.push(id);
            }
            if stopped || length == self.room {
                if rank < rules.beams {
                    let finish = if stopped { Finish::Stop } else { Finish::Length };
                    let score = log_prob / (length as f64).powf(rules.length_penalty);
                    self.complete
                        .push(Complete { text: Generated { ids, finish, log_prob }, score });
                }
            } else if running.len() < rules.beams {
                running.push(Running { ids, log_prob });
                parents.push(parent);
            }
        }
        // Stable, so that of equal ones the earlier stays first.
        self.complete.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.complete.truncate(rules.beams);
        self.running = running;
        parents
    }

    /// Whether nothing that is still running can be chosen.
    fn is_finished(&self, rules: &Rules<'_>) -> bool {
        let Some(best) = self.running.first() else { return true };
        let (true, Some(worst)) = (self.complete.len() == rules.beams, self.complete.last()) else {
            return false;
        };
        let reachable = best.log_prob / (best.ids.len() as f64).powf(rules.length_penalty);
        rules.early_stopping || reachable <= worst.score
    }

    fn best(self) -> Option<Generated> {
        self.complete.into_iter().next().map(|complete| complete.text)
    }
}
