//! Rises of candidates in memory.

use std::cell::OnceCell;
use std::sync::Arc;

use serde_json::json;
use tamis_artifact::{Fingerprint, ParameterError, PassReport, Provenance};
use tamis_dataset::{Encoded, Encoder, Reason, Sample, TextTokenizer, plan_batches};
use tamis_model::{Batch, CausalLm, KvCache, NoTap, log_probs_after, target_log_probs};
use tch::{Kind, Tensor};

use crate::anchors::Anchors;
use crate::encode::encode;
use crate::opening::Opening;
use crate::{Anchor, GoldenCandidate, GoldenParams, NuggetsError};

/// Measures candidates by what they do for anchors as one-shot examples.
pub struct GoldenScorer<'a> {
    pub(crate) model: &'a dyn CausalLm,
    pub(crate) encoder: Encoder,
    pub(crate) params: GoldenParams,
    pub(crate) anchors: Anchors,
    separator: Vec<u32>,
    /// Mean log-probabilities of the anchors' answers without an example.
    zero_shot: OnceCell<Vec<f64>>,
}

impl std::fmt::Debug for GoldenScorer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoldenScorer")
            .field("params", &self.params)
            .field("anchors", &self.anchors.len())
            .finish_non_exhaustive()
    }
}

impl<'a> GoldenScorer<'a> {
    /// Puts a model, its tokenizer, the settings and the anchors together.
    ///
    /// # Errors
    /// Settings that [`GoldenParams::check`] refuses, a length limit beyond what the model reads, a
    /// tokenizer with ids that the model does not embed, no anchors, or an anchor that has no answer,
    /// no prompt or too many tokens.
    pub fn new(
        model: &'a dyn CausalLm,
        tokenizer: impl Into<Arc<TextTokenizer>>,
        params: GoldenParams,
        anchors: &[Sample],
    ) -> Result<Self, NuggetsError> {
        let params = params.check()?;
        let (tokenizer, shape) = (tokenizer.into(), model.shape());
        if params.max_length > shape.max_positions {
            let expected = format!("at most {}, what the model reads", shape.max_positions);
            return Err(ParameterError::new("max_length", params.max_length, expected).into());
        }
        if tokenizer.max_id() as usize >= shape.vocab_size {
            let expected = format!("below {}, the rows of the model's embedding", shape.vocab_size);
            return Err(ParameterError::new(
                "the tokenizer's highest id",
                tokenizer.max_id(),
                expected,
            )
            .into());
        }
        let separator = match params.separator() {
            "" => Vec::new(),
            text => tokenizer.ids(text, false)?,
        };
        let encoder = Encoder::new(tokenizer, params.template.clone(), params.encoding())?;
        let opening = Opening::of(&encoder)?;
        let limits = (params.max_length, params.token_budget);
        let anchors = Anchors::new(&encoder, &opening, anchors, limits, shape.device)?;
        Ok(Self { model, encoder, params, anchors, separator, zero_shot: OnceCell::new() })
    }

    /// The settings.
    pub fn params(&self) -> &GoldenParams {
        &self.params
    }

    /// Everything but the rows that decides the rises of a candidate.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn provenance(&self) -> Result<Provenance, NuggetsError> {
        let mut hasher = blake3::Hasher::new();
        for anchor in &self.anchors.whole {
            let text = (&anchor.id, anchor.index, &anchor.ids, &anchor.supervised);
            hasher.update(json!(text).to_string().as_bytes());
        }
        let anchors = json!({
            "content": hasher.finalize().to_hex().as_str(),
            "rows": self.anchors.len(),
        });
        let params = &self.params;
        let settings = json!({
            "separator": params.separator(),
            "max_length": params.max_length,
            "token_budget": params.token_budget,
            "shard_rows": params.shard_rows,
            "compute_type": format!("{:?}", self.model.shape().kind),
        });
        let provenance = Provenance::new()
            .encoder(Fingerprint::from(self.encoder.description()))
            .model(self.model.fingerprint()?)
            .made_from("anchors", Fingerprint::from(anchors));
        Ok(provenance.settings(&settings)?)
    }

    /// The anchors with their scores without an example, which are computed once.
    ///
    /// # Errors
    /// What the model reports, or an anchor whose score is no finite number.
    pub fn anchors(&self) -> Result<Vec<Anchor>, NuggetsError> {
        let zero_shot = self.zero_shot()?.iter();
        let anchor = |(anchor, &zero_shot): (&Encoded, &f64)| Anchor {
            id: anchor.id.clone(),
            index: anchor.index,
            targets: anchor.targets(),
            zero_shot,
        };
        Ok(self.anchors.whole.iter().zip(zero_shot).map(anchor).collect())
    }

    fn zero_shot(&self) -> Result<&[f64], NuggetsError> {
        if let Some(known) = self.zero_shot.get() {
            return Ok(known);
        }
        let whole = &self.anchors.whole;
        let lengths: Vec<usize> = whole.iter().map(|anchor| anchor.len() - 1).collect();
        let mut means = vec![f64::NAN; whole.len()];
        let _no_grad = tch::no_grad_guard();
        for members in plan_batches(&lengths, self.params.token_budget)? {
            let rows: Vec<&Encoded> = members.iter().map(|&member| &whole[member]).collect();
            let batch = Batch::predicting_only(&rows, self.model.shape().device)?;
            let log_probs = target_log_probs(self.model, &batch, &mut NoTap)?;
            write_means(&log_probs, &batch, &members, &mut means)?;
        }
        if let Some(bad) = means.iter().position(|mean| !mean.is_finite()) {
            let (id, index) = (whole[bad].id.clone(), whole[bad].index);
            return Err(NuggetsError::Anchor { id, index, reason: Reason::NonFinite });
        }
        Ok(self.zero_shot.get_or_init(|| means))
    }

    /// Takes scores without an example from an earlier run of the same description.
    pub(crate) fn take_zero_shot(&self, known: Vec<f64>) {
        // Where they were computed already, they are the same.
        let _ = self.zero_shot.set(known);
    }

    /// Rises of candidates in memory, in their order.
    ///
    /// # Errors
    /// What the model reports. A
    /// single candidate that cannot be scored is no error but has a [`Reason`].
    pub fn score(&self, samples: &[Sample]) -> Result<Vec<GoldenCandidate>, NuggetsError> {
        Ok(self.score_counted(samples, |_| {})?.0)
    }

    /// The same, and what was run for it; `advance` is told of candidates that are done.
    ///
    /// # Errors
    /// As [`GoldenScorer::score`].
    pub fn score_counted(
        &self,
        samples: &[Sample],
        mut advance: impl FnMut(usize),
    ) -> Result<(Vec<GoldenCandidate>, PassReport), NuggetsError> {
        let examples = self.examples(samples);
        let usable: Vec<(usize, &[u32])> = examples
            .iter()
            .enumerate()
            .filter_map(|(place, example)| Some((place, example.as_deref().ok()?)))
            .collect();
        advance(examples.len() - usable.len());
        let mut candidates: Vec<GoldenCandidate> = samples
            .iter()
            .zip(&examples)
            .map(|(sample, example)| GoldenCandidate {
                id: sample.id.clone(),
                index: sample.index,
                rises: example.as_ref().map(|_| Vec::new()).map_err(Reason::clone),
                own: example.as_ref().map_or(Vec::new(), |ids| self.own(ids)),
            })
            .collect();
        let mut work = PassReport { rows: samples.len(), ..PassReport::default() };
        let lengths: Vec<usize> = usable.iter().map(|(_, ids)| ids.len()).collect();
        let zero_shot = if usable.is_empty() { &[] } else { self.zero_shot()? };
        for members in plan_batches(&lengths, self.params.token_budget)? {
            let texts: Vec<&[u32]> = members.iter().map(|&member| usable[member].1).collect();
            let cache = self.read(&texts)?;
            for (row, &member) in members.iter().enumerate() {
                let one_shot = self.behind(&cache, row)?;
                let rises: Vec<f64> =
                    one_shot.iter().zip(zero_shot).map(|(one, zero)| one - zero).collect();
                let finite = rises.iter().all(|rise| rise.is_finite());
                candidates[usable[member].0].rises =
                    if finite { Ok(rises) } else { Err(Reason::NonFinite) };
                work.texts += 1;
                work.tokens += texts[row].len() + self.anchors.tokens();
                work.targets += self.anchors.targets();
                advance(1);
            }
        }
        work.skipped = candidates.iter().filter(|one| one.rises.is_err()).count();
        Ok((candidates, work))
    }

    /// The tokens that stand before the anchors, separator included, or why a sample cannot.
    pub(crate) fn examples(&self, samples: &[Sample]) -> Vec<Result<Vec<u32>, Reason>> {
        let (longest, behind) = self.anchors.longest();
        let limit = self.params.max_length;
        let example = |outcome: Result<Encoded, Reason>| {
            let mut ids = outcome?.ids;
            ids.extend(&self.separator);
            let tokens = ids.len() + behind;
            if tokens > limit {
                return Err(Reason::TooLong { tokens, limit, with: Some(longest.id.clone()) });
            }
            Ok(ids)
        };
        encode(&self.encoder, samples).into_iter().map(example).collect()
    }

    /// Anchors that are the same text.
    fn own(&self, example: &[u32]) -> Vec<usize> {
        let ids = &example[..example.len() - self.separator.len()];
        let same = |anchor: &usize| self.anchors.whole[*anchor].ids == ids;
        (0..self.anchors.len()).filter(same).collect()
    }

    /// Reads examples, right-padded, into a cache.
    fn read(&self, texts: &[&[u32]]) -> Result<KvCache, NuggetsError> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let time = lengths.iter().copied().max().unwrap_or(0);
        let mut ids = vec![0i64; texts.len() * time];
        for (row, text) in ids.chunks_mut(time.max(1)).zip(texts) {
            row.iter_mut().zip(*text).for_each(|(place, &id)| *place = i64::from(id));
        }
        let ids = Tensor::f_from_slice(&ids)?.f_view([texts.len() as i64, time as i64])?;
        let mut cache = KvCache::new(&lengths, 0);
        let ids = ids.f_to_device(self.model.shape().device)?;
        let _hidden = self.model.extend(&ids, &mut cache, &mut NoTap)?;
        Ok(cache)
    }

    /// Mean log-probabilities of the anchors' answers behind the example in `row` of the cache.
    fn behind(&self, cache: &KvCache, row: usize) -> Result<Vec<f64>, NuggetsError> {
        let mut means = vec![f64::NAN; self.anchors.len()];
        let _no_grad = tch::no_grad_guard();
        for group in &self.anchors.groups {
            let mut beginning = cache.text(row, group.stem_tokens)?;
            if let Some(stem) = &group.stem {
                let _hidden = self.model.extend(stem, &mut beginning, &mut NoTap)?;
            }
            let mut shared = beginning.shared()?;
            for (members, batch) in &group.batches {
                let hidden = self.model.extend(&batch.ids, &mut shared, &mut NoTap)?;
                let log_probs = log_probs_after(self.model, batch, &hidden, &mut NoTap)?;
                write_means(&log_probs, batch, members, &mut means)?;
            }
        }
        Ok(means)
    }
}

/// The mean of each row's log-probabilities, to its place. Sums in f64 do not depend on threads.
fn write_means(
    log_probs: &Tensor,
    batch: &Batch,
    members: &[usize],
    means: &mut [f64],
) -> Result<(), NuggetsError> {
    // One transfer a batch.
    let log_probs = Vec::<f64>::try_from(log_probs.f_to_kind(Kind::Double)?)?;
    let mut rest = log_probs.as_slice();
    for (&member, &count) in members.iter().zip(&batch.counts) {
        let (own, others) = rest.split_at(count.min(rest.len()));
        means[member] = own.iter().sum::<f64>() / count as f64;
        rest = others;
    }
    Ok(())
}
