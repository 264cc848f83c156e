//! Fitting: a forward and an activation-backward over a pool, sums taken on the way.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tamis_artifact::{
    Fingerprint, PassReport, Progress, Provenance, Shards, StoreWriter, run_shards,
};
use tamis_dataset::{Encoded, Encodings, Outcome, SampleId, plan_batches};
use tamis_gradients::{Labels, LayerTrace, trace_batch};
use tamis_model::Reduction;
use tamis_model::{Batch, CausalLm, LayerInfo};
use tch::{Kind, Tensor};

use crate::store::{FORMAT, part_bytes, part_name};
use crate::sums::{Sums, Tokens};
use crate::{Factors, KfacError, SecondMoments, SumStore};

/// What becomes of a sample whose activations or gradients are not finite.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// The fit stops and names it.
    #[default]
    Refuse,
    /// It is left out, and listed ([`FitReport::skipped`]).
    Skip,
}

/// How curvature is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FitParams {
    /// Labels the losses are taken against: the model's own draws give the true Fisher.
    pub labels: Labels,
    /// Whether every token is a draw, or every sample.
    pub tokens: Tokens,
    /// Padded tokens of one batch, at most.
    pub token_budget: usize,
    /// Samples of one part: what is stored together, and redone if the fit is interrupted.
    pub part_samples: usize,
    /// What becomes of samples with values that are not finite.
    pub non_finite: NonFinite,
}

impl Default for FitParams {
    fn default() -> Self {
        Self {
            labels: Labels::Sampled { seed: 0 },
            tokens: Tokens::default(),
            token_budget: 2048,
            part_samples: 8192,
            non_finite: NonFinite::default(),
        }
    }
}

/// Fits sums of `layers` over a pool: Kronecker factors, or second moments.
#[derive(Clone, Copy)]
pub struct FactorFit<'a> {
    /// The model; its weights stay frozen.
    pub model: &'a dyn CausalLm,
    /// The layers whose curvature is fitted.
    pub layers: &'a [LayerInfo],
    /// How.
    pub params: FitParams,
}

/// What a fit left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FitReport {
    /// Samples with values that are not finite, left out on request ([`NonFinite::Skip`]).
    pub skipped: Vec<SampleId>,
}

impl std::fmt::Debug for FactorFit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactorFit")
            .field("layers", &self.layers.len())
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

impl FactorFit<'_> {
    /// What decides the sums over `samples`: their rows and tokens, the model, the layers and how is fitted.
    ///
    /// # Errors
    /// Rows or weights that cannot be read.
    pub fn provenance(&self, samples: &Encodings<'_>) -> Result<Provenance, KfacError> {
        let layers: Vec<&str> = self.layers.iter().map(|l| l.name.as_str()).collect();
        Ok(Provenance::new()
            .source(samples.fingerprint()?)
            .encoder(samples.encoder_fingerprint())
            .model(self.model.fingerprint()?)
            .settings(&json!({ "layers": layers, "fit": self.params }))?)
    }

    /// Covariances over samples held in memory.
    ///
    /// The loss of a sample is the *sum* over its supervised tokens, so that `g` is a token's own
    /// gradient whatever the length of its text.
    ///
    /// # Errors
    /// The head among the layers, activations or gradients that are not finite (sample and layer are
    /// named), or what the model reports.
    pub fn sum(
        &self,
        samples: &[Encoded],
        progress: &mut dyn Progress,
    ) -> Result<Factors, KfacError> {
        let mut factors = self.no_factors()?;
        self.add(samples, &mut factors, &mut FitReport::default(), progress)?;
        Ok(factors)
    }

    /// Fits covariances over a pool, part by part, into the folder `dir`; parts that are there already are not computed
    /// again. Samples that cannot be used are left out. Returns the sums of all parts.
    ///
    /// # Errors
    /// As [`FactorFit::sum`]; a folder made from something else, naming the field; what the data or the disk reports; or a
    /// pool of which nothing can be used.
    pub fn run(
        &self,
        samples: &Encodings<'_>,
        dir: impl AsRef<Path>,
        progress: &mut dyn Progress,
    ) -> Result<Factors, KfacError> {
        let place = (dir.as_ref(), &self.provenance(samples)?);
        Ok(self.run_parts(samples, place, progress, "covariances", || self.no_factors())?.sums)
    }

    pub(crate) fn no_factors(&self) -> Result<Factors, KfacError> {
        let shape = self.model.shape();
        Factors::zeros(self.layers, shape.kind, shape.device)
    }

    pub(crate) fn no_moments(
        &self,
        basis: Option<&crate::Eigenbasis>,
    ) -> Result<SecondMoments, KfacError> {
        let shape = self.model.shape();
        SecondMoments::zeros(self.layers, basis, shape.kind, shape.device)
    }

    /// Adds samples held in memory to sums of any kind ([`SecondMoments::zeros`], say).
    ///
    /// # Errors
    /// As [`FactorFit::sum`].
    pub fn add<S: Sums>(
        &self,
        samples: &[Encoded],
        sums: &mut S,
        report: &mut FitReport,
        progress: &mut dyn Progress,
    ) -> Result<(), KfacError> {
        if let Some(head) = self.layers.iter().find(|layer| layer.head) {
            return Err(KfacError::Head { layer: head.name.clone() });
        }
        let FitParams { labels, tokens, .. } = self.params;
        let device = self.model.shape().device;
        let lengths: Vec<usize> = samples.iter().map(|s| s.ids.len()).collect();
        for members in plan_batches(&lengths, self.params.token_budget)? {
            let members: Vec<&Encoded> = members.iter().map(|&m| &samples[m]).collect();
            let batch = Batch::new(&members, device)?;
            let ids: Vec<&str> = members.iter().map(|s| s.id.as_ref()).collect();
            let reduction = Reduction::Sum;
            let trace = trace_batch(self.model, &batch, &ids, self.layers, reduction, labels)?;
            let _no_grad = tch::no_grad_guard();
            let (mut traces, mut mask) = (trace.layers, real_tokens(&batch)?);
            if self.params.non_finite == NonFinite::Skip {
                let bad = first_bad_layers(&traces)?;
                let good: Vec<i64> =
                    (0..).zip(&bad).filter(|(_, b)| b.is_none()).map(|(n, _)| n).collect();
                if good.len() < members.len() {
                    let left_out = members.iter().zip(&bad).filter(|(_, b)| b.is_some());
                    report.skipped.extend(left_out.map(|(sample, _)| sample.id.clone()));
                    let good = Tensor::f_from_slice(&good)?.f_to_device(device)?;
                    mask = mask.f_index_select(0, &good)?;
                    traces = rows_of(&traces, &good)?;
                }
            }
            if mask.size()[0] > 0 {
                sums.add(&traces, &mask, tokens)?;
                self.refuse_non_finite(sums, &traces, &ids)?;
            }
            progress.advance(members.len() as u64);
        }
        Ok(())
    }

    /// Looks at the sums after a batch, which costs little, and for the sample only if they are spoilt.
    fn refuse_non_finite<S: Sums>(
        &self,
        sums: &S,
        traces: &[LayerTrace],
        ids: &[&str],
    ) -> Result<(), KfacError> {
        for (n, layer) in self.layers.iter().enumerate() {
            if !sums.finite(n)? {
                let bad = first_bad_layers(traces)?;
                let found = bad.iter().zip(ids).find_map(|(bad, id)| bad.map(|at| (at, *id)));
                let (layer, sample) = match found {
                    Some((at, id)) => (&self.layers[at], id.to_owned()),
                    // Every value is finite, but not their products.
                    None => (layer, format!("{} … {}", ids[0], ids[ids.len() - 1])),
                };
                return Err(KfacError::NonFinite { layer: layer.name.clone(), sample });
            }
        }
        Ok(())
    }

    /// Fits sums part by part into a folder; what was left out is of all parts, also of those that were there.
    pub(crate) fn run_parts<S: Sums>(
        &self,
        samples: &Encodings<'_>,
        (dir, provenance): (&Path, &Provenance),
        progress: &mut dyn Progress,
        stage: &str,
        zeros: impl Fn() -> Result<S, KfacError>,
    ) -> Result<Summed<S>, KfacError> {
        samples.check()?;
        let writer =
            StoreWriter::create_or_resume(dir, &provenance.manifest(S::STORED_AS, FORMAT))?;
        let (rows, per_shard) = (samples.len(), self.params.part_samples.max(1));
        let resumed = writer.is_complete();
        let (stores, _) = run_shards::<KfacError>(
            &Shards { stage, unit: "rows", rows, per_shard },
            vec![writer],
            part_name,
            progress,
            |range, _, progress| {
                let (name, wanted) = (part_name(range.start / per_shard), range.len());
                let usable: Vec<Encoded> = samples
                    .read_range(range)?
                    .into_iter()
                    .filter_map(|outcome| match outcome {
                        Outcome::Scored(sample) => Some(sample),
                        Outcome::Unscorable { .. } => None,
                    })
                    .collect();
                progress.advance((wanted - usable.len()) as u64);
                let (mut sums, mut report) = (zeros()?, FitReport::default());
                self.add(&usable, &mut sums, &mut report, progress)?;
                let done = PassReport {
                    skipped: wanted - usable.len() + report.skipped.len(),
                    texts: usable.len(),
                    tokens: usable.iter().map(Encoded::len).sum(),
                    ..PassReport::default()
                };
                Ok((vec![part_bytes(&name, &sums, &report.skipped)?], done))
            },
        )?;
        let none = || KfacError::NoTokens { samples: rows };
        let store = SumStore::<S>::of(stores.into_iter().next().ok_or_else(none)?);
        // Those of parts that an earlier run has left out are named as well.
        let (sums, left_out) = store.merged_parts(self.layers, self.model.shape().device)?;
        let sums = sums.filter(|sums| sums.count() > 0.0).ok_or_else(none)?;
        Ok(Summed { sums, left_out, fingerprint: store.artifact().fingerprint(), resumed })
    }
}

/// Sums of a whole pool, read back from their store.
pub(crate) struct Summed<S> {
    pub(crate) sums: S,
    pub(crate) left_out: Vec<SampleId>,
    pub(crate) fingerprint: Fingerprint,
    /// Whether an earlier run had finished them.
    pub(crate) resumed: bool,
}

/// For each sample of a batch, the first layer at which something is not finite.
fn first_bad_layers(traces: &[LayerTrace]) -> Result<Vec<Option<usize>>, KfacError> {
    let mut bad: Vec<Option<usize>> = Vec::new();
    for (n, trace) in traces.iter().enumerate() {
        let sum = |t: &Tensor| {
            t.f_to_kind(Kind::Double)?.f_abs()?.f_sum_dim_intlist(
                [1i64, 2].as_slice(),
                false,
                Kind::Double,
            )
        };
        let finite = sum(trace.x())?.f_add(&sum(trace.g())?)?.f_isfinite()?;
        let finite = Vec::<bool>::try_from(finite)?;
        bad.resize(finite.len(), None);
        for (bad, finite) in bad.iter_mut().zip(finite) {
            if !finite && bad.is_none() {
                *bad = Some(n);
            }
        }
    }
    Ok(bad)
}

/// The traces of some samples of a batch. Inputs that layers share stay shared.
fn rows_of(traces: &[LayerTrace], rows: &Tensor) -> Result<Vec<LayerTrace>, KfacError> {
    let mut kept: Vec<(usize, Tensor)> = Vec::new();
    traces
        .iter()
        .map(|trace| {
            let at = trace.x().data_ptr() as usize;
            let known = kept.iter().find(|(known, _)| *known == at).map(|(_, x)| x.shallow_clone());
            let x = if let Some(x) = known {
                x
            } else {
                let x = trace.x().f_index_select(0, rows)?;
                kept.push((at, x.shallow_clone()));
                x
            };
            Ok(LayerTrace::new(trace.info().clone(), x, trace.g().f_index_select(0, rows)?))
        })
        .collect()
}

/// (batch, time): 1 at real tokens, 0 at padding.
fn real_tokens(batch: &Batch) -> Result<Tensor, KfacError> {
    let (_, time) = batch.ids.size2()?;
    let device = batch.ids.device();
    let lengths: Vec<i64> = batch.lengths.iter().map(|&n| n as i64).collect();
    let lengths = Tensor::f_from_slice(&lengths)?.f_to_device(device)?.f_unsqueeze(1)?;
    let at = Tensor::f_arange(time, (Kind::Int64, device))?.f_unsqueeze(0)?;
    Ok(at.f_lt_tensor(&lengths)?.f_to_kind(Kind::Float)?)
}
