//! How unsure a language model is of each record's response.
//!
//! The active-learning baselines of the paper speak of the probability of a class. A response has many
//! tokens, so here each measure is the mean, over the response tokens, of its value at one token, which
//! the model predicts from the prompt and the true tokens before it.

use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_artifact::{
    ParameterError, PassReport, Progress, Provenance, Shards, StoreWriter, run_shards, to_lines,
};
use tamis_dataset::{Encoded, Encodings, Outcome, SampleId, plan_batches};
use tamis_model::{Batch, CausalLm, NoTap, Tap};
use tch::{Kind, Tensor, no_grad};

use crate::{EvolError, Uncertainty};

/// What the store is called in its manifest.
const KIND: &str = "uncertainty";
/// Version of its layout.
const FORMAT: u32 = 3;
/// Logits held at once, so that they and what is made of them stay in the cache: 16 MiB in f32.
const LOGITS_AT_ONCE: usize = 1 << 22;
/// But never fewer rows than this: each piece reads the whole head.
const ROWS_AT_ONCE: usize = 256;

/// Means over a record's response tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Uncertainties {
    /// Of 1 − p₁.
    pub least_confidence: f64,
    /// Of p₁ − p₂.
    pub margin: f64,
    /// Of the entropy, in nats.
    pub entropy: f64,
}

impl Uncertainties {
    /// One of them.
    pub fn of(&self, kind: Uncertainty) -> f64 {
        match kind {
            Uncertainty::LeastConfidence => self.least_confidence,
            Uncertainty::Margin => self.margin,
            Uncertainty::Entropy => self.entropy,
        }
    }
}

/// The uncertainties of each row of a batch.
///
/// Logits are formed only where a target is predicted, in pieces. Computed in f32 (f64 for an f64
/// model) whatever the kind of the weights; the means are f64.
///
/// # Errors
/// What the model or LibTorch reports.
pub fn uncertainties(
    model: &dyn CausalLm,
    batch: &Batch,
    tap: &mut dyn Tap,
) -> Result<Vec<Uncertainties>, EvolError> {
    no_grad(|| {
        let hidden = batch.predicting(&model.hidden(&batch.ids, tap)?)?;
        let targets = batch.target_count();
        let piece = (LOGITS_AT_ONCE / model.shape().vocab_size).max(ROWS_AT_ONCE);
        let mut pieces = Vec::new();
        for start in (0..targets).step_by(piece) {
            let count = piece.min(targets - start) as i64;
            let hidden = hidden.f_narrow(0, start as i64, count)?;
            pieces.push(of_tokens(&model.logits(&hidden, tap)?)?);
        }
        // (rows, 3): sums of the tokens of a row.
        let tokens = Tensor::f_cat(&pieces, 0)?;
        let zeros = Tensor::f_zeros([batch.len() as i64, 3], (Kind::Double, tokens.device()))?;
        let sums = zeros.f_index_add(0, &batch.rows, &tokens)?;
        let sums: Vec<f64> = Vec::try_from(&sums.f_flatten(0, -1)?)?;
        let mean = |(row, &count): (&[f64], &usize)| Uncertainties {
            least_confidence: row[0] / count as f64,
            margin: row[1] / count as f64,
            entropy: row[2] / count as f64,
        };
        Ok(sums.chunks_exact(3).zip(&batch.counts).map(mean).collect())
    })
}

/// The three numbers of every predicted token: logits (tokens, vocabulary) to (tokens, 3).
fn of_tokens(logits: &Tensor) -> Result<Tensor, EvolError> {
    let kind = if logits.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float };
    let probabilities = logits.f_softmax(-1, kind)?;
    let (top, _) = probabilities.f_topk(2, -1, true, true)?;
    let (first, second) = (top.f_select(1, 0)?, top.f_select(1, 1)?);
    let unsure = first.f_neg()?.f_add_scalar(1.0)?;
    let margin = first.f_sub(&second)?;
    // −p ln p, and 0 where p is.
    let entropy = probabilities.f_special_entr()?.f_sum_dim_intlist(-1, false, kind)?;
    Ok(Tensor::f_stack(&[unsure, margin, entropy], 1)?.f_to_kind(Kind::Double)?)
}

/// Settings of a pass over many records, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UncertaintyParams {
    /// Padded tokens of one forward pass. Default 4,096.
    pub token_budget: usize,
    /// Records written, and redone after an interruption, together. Default 512.
    pub shard_rows: usize,
}

impl Default for UncertaintyParams {
    fn default() -> Self {
        Self { token_budget: 4096, shard_rows: 512 }
    }
}

impl UncertaintyParams {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`EvolError::Parameter`] for one that is 0.
    pub fn check(self) -> Result<UncertaintyPass, EvolError> {
        for (name, value) in [("token_budget", self.token_budget), ("shard_rows", self.shard_rows)]
        {
            ParameterError::at_least(name, value, 1)?;
        }
        Ok(UncertaintyPass { params: self })
    }
}

/// A pass over many records that is kept in a folder; made by [`UncertaintyParams::check`].
#[derive(Clone, Copy, Debug)]
pub struct UncertaintyPass {
    params: UncertaintyParams,
}

/// A line of a shard.
#[derive(Serialize, Deserialize)]
struct Line {
    id: SampleId,
    index: usize,
    #[serde(flatten)]
    values: Uncertainties,
}

impl UncertaintyPass {
    /// The settings.
    pub fn params(&self) -> &UncertaintyParams {
        &self.params
    }

    /// The uncertainties of all `rows`, in their order, kept in the folder `dir`. What an interrupted
    /// pass left there is not computed again.
    ///
    /// # Errors
    /// A folder made from another model, other rows or settings, naming the field; rows that share an id; a row that
    /// cannot be read as tokens or whose numbers are not finite, as each record needs its numbers; what the model, the
    /// source or the disk reports.
    pub fn run(
        &self,
        model: &dyn CausalLm,
        rows: &Encodings<'_>,
        dir: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Uncertainties>, EvolError> {
        rows.check()?;
        let provenance = Provenance::new()
            .source(rows.fingerprint()?)
            .encoder(rows.encoder_fingerprint())
            .model(model.fingerprint()?)
            .settings(&self.params)?;
        let writer = StoreWriter::create_or_resume(dir, &provenance.manifest(KIND, FORMAT))?;
        let per_shard = self.params.shard_rows;
        let shards = Shards { stage: "uncertainty", unit: "rows", rows: rows.len(), per_shard };
        let (stores, _) = run_shards::<EvolError>(
            &shards,
            vec![writer],
            name,
            progress,
            |range, _, progress| {
                let lines = self.shard(model, rows, range, progress)?;
                let report = PassReport { texts: lines.len(), ..PassReport::default() };
                Ok((vec![to_lines(&lines)?], report))
            },
        )?;
        let mut all = Vec::with_capacity(rows.len());
        for store in &stores {
            for shard in 0..shards.count() {
                let lines: Vec<Line> = store.read_lines(&name(shard))?;
                all.extend(lines.into_iter().map(|line| line.values));
            }
        }
        Ok(all)
    }

    /// The lines of a shard. Batches do not reach beyond it, so it has the same bytes in any run.
    fn shard(
        &self,
        model: &dyn CausalLm,
        rows: &Encodings<'_>,
        range: Range<usize>,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Line>, EvolError> {
        let usable = |outcome| match outcome {
            Outcome::Scored(sample) => Ok(sample),
            Outcome::Unscorable { id, index, reason } => {
                Err(EvolError::Record { id, index, problem: reason.to_string() })
            }
        };
        let samples: Vec<Encoded> =
            rows.read_range(range)?.into_iter().map(usable).collect::<Result<_, _>>()?;
        let lengths: Vec<usize> = samples.iter().map(Encoded::len).collect();
        let mut all = vec![None; samples.len()];
        for members in plan_batches(&lengths, self.params.token_budget)? {
            let rows: Vec<&Encoded> = members.iter().map(|&member| &samples[member]).collect();
            let batch = Batch::new(&rows, model.shape().device)?;
            for (&member, values) in members.iter().zip(uncertainties(model, &batch, &mut NoTap)?) {
                all[member] = Some(values);
            }
            progress.advance(members.len() as u64);
        }
        let mut lines = Vec::with_capacity(samples.len());
        for (sample, values) in samples.iter().zip(all) {
            let (id, index) = (&sample.id, sample.index);
            let bad = |problem: String| EvolError::Record { id: id.clone(), index, problem };
            let Some(values) = values else {
                return Err(bad("no batch had it".to_owned()));
            };
            for kind in [Uncertainty::LeastConfidence, Uncertainty::Margin, Uncertainty::Entropy] {
                if !values.of(kind).is_finite() {
                    return Err(bad(format!("its {kind} is {}", values.of(kind))));
                }
            }
            lines.push(Line { id: id.clone(), index, values });
        }
        Ok(lines)
    }
}

fn name(shard: usize) -> String {
    format!("rows-{shard:05}.jsonl")
}
