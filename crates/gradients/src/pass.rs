//! The gradient pass: one forward and one activation-backward over a pool, any number of rows out.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tamis_artifact::{
    Fingerprint, ParameterError, PassReport, Progress, Provenance, Shards, StoreWriter, run_shards,
};
use tamis_dataset::{Encoded, Encodings, Outcome, Reason, Skipped, plan_batches};
use tamis_model::{Batch, CausalLm, LayerInfo, Reduction};
use tch::{Device, Kind, Tensor};

use crate::norms::SquaredNorms;
use crate::shard::{RowInfo, RowShard};
use crate::store::shard_name;
use crate::trace::{Labels, trace_batch};
use crate::{GradientError, Reducer, RowStore, RowType, RowWriter};

/// How a pass goes over its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PassParams {
    /// How token losses become the loss of a sample.
    pub reduction: Reduction,
    /// Padded tokens of one batch, at most.
    pub token_budget: usize,
    /// Samples of one shard: what is sorted by length together, written together, and redone if
    /// the pass is interrupted.
    pub shard_rows: usize,
}

impl Default for PassParams {
    fn default() -> Self {
        Self { reduction: Reduction::default(), token_budget: 2048, shard_rows: 512 }
    }
}

impl PassParams {
    /// Refuses sizes of zero.
    ///
    /// # Errors
    /// The parameter that is out of range.
    pub fn check(self) -> Result<Self, GradientError> {
        for (name, value) in [("token_budget", self.token_budget), ("shard_rows", self.shard_rows)]
        {
            ParameterError::at_least(name, value, 1)?;
        }
        Ok(self)
    }
}

/// What a pass runs over.
#[derive(Clone, Copy)]
pub struct GradientPass<'a> {
    /// The model; its weights stay frozen.
    pub model: &'a dyn CausalLm,
    /// The layers whose gradients are taken.
    pub layers: &'a [LayerInfo],
    /// How.
    pub params: PassParams,
}

impl std::fmt::Debug for GradientPass<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GradientPass")
            .field("layers", &self.layers.len())
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

/// Where one reducer's rows go.
#[derive(Clone)]
pub struct Sink<'a> {
    reducer: &'a dyn Reducer,
    kind: &'a str,
    dir: PathBuf,
    dtype: RowType,
}

impl<'a> Sink<'a> {
    /// The rows of `reducer` go into the folder `dir`, stored as `dtype`. `kind` is what they are called in its manifest:
    /// `gradients`, `scores`.
    pub fn new(
        reducer: &'a dyn Reducer,
        kind: &'a str,
        dir: impl Into<PathBuf>,
        dtype: RowType,
    ) -> Self {
        Self { reducer, kind, dir: dir.into(), dtype }
    }
}

impl std::fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("width", &self.reducer.width())
            .field("kind", &self.kind)
            .field("dir", &self.dir)
            .field("dtype", &self.dtype)
            .finish()
    }
}

impl GradientPass<'_> {
    /// What decides the gradients of `samples`: their rows and tokens, the model, the layers and how the pass goes over
    /// them.
    ///
    /// # Errors
    /// Rows or weights that cannot be read.
    pub fn provenance(&self, samples: &Encodings<'_>) -> Result<Provenance, GradientError> {
        let layers: Vec<&str> = self.layers.iter().map(|l| l.name.as_str()).collect();
        let settings = json!({
            "layers": layers,
            "reduction": self.params.reduction,
            "token_budget": self.params.token_budget,
            "shard_rows": self.params.shard_rows,
            "compute_type": format!("{:?}", self.model.shape().kind),
        });
        Ok(Provenance::new()
            .source(samples.fingerprint()?)
            .encoder(samples.encoder_fingerprint())
            .model(self.model.fingerprint()?)
            .settings(&settings)?)
    }

    /// The rows in the folder `dir`, if an earlier run of this pass over the same samples finished them; `reducer` is
    /// [`Reducer::fingerprint`]. For reducers that are dear to make, such as the solved gradients of many queries.
    ///
    /// # Errors
    /// A folder made from something else, naming the field that differs.
    pub fn finished(
        &self,
        samples: &Encodings<'_>,
        (kind, dir, dtype): (&str, &Path, RowType),
        reducer: Fingerprint,
    ) -> Result<Option<RowStore>, GradientError> {
        if !dir.is_dir() {
            return Ok(None);
        }
        let made_of = self.provenance(samples)?.made_from("reducer", reducer);
        let writer = RowWriter::create_or_resume(dir, kind, &made_of, dtype)?;
        if writer.is_complete() { Ok(Some(writer.finish()?)) } else { Ok(None) }
    }

    /// Runs over `samples` and writes one shard of rows per sink and stretch of the pool, with everything that decides
    /// them in the manifests. Shards that are there already are not computed again. A row is joined to its sample by the
    /// position that it has among `samples`. Returns the rows of each sink, in their order.
    ///
    /// # Errors
    /// A folder made from something else (naming the field that differs), an id that two samples have, and what the model,
    /// the data or a store reports. A sample whose gradient is not finite is no error: it is listed as skipped in its
    /// shard.
    pub fn run(
        &self,
        samples: &Encodings<'_>,
        sinks: &[Sink<'_>],
        progress: &mut dyn Progress,
    ) -> Result<(Vec<RowStore>, PassReport), GradientError> {
        let params = self.params.check()?;
        samples.check()?;
        let made_of = self.provenance(samples)?;
        let open = |sink: &Sink<'_>| {
            let made_of = made_of.clone().made_from("reducer", sink.reducer.fingerprint());
            RowWriter::create_or_resume(&sink.dir, sink.kind, &made_of, sink.dtype)
        };
        let writers: Vec<RowWriter> = sinks.iter().map(open).collect::<Result<_, _>>()?;
        // A product may depend on what other reducers have formed, so a shard is computed for all that are not finished,
        // whichever of them lack it.
        let unfinished: Vec<usize> =
            (0..sinks.len()).filter(|&place| !writers[place].is_complete()).collect();
        let reducers: Vec<&dyn Reducer> =
            unfinished.iter().map(|&place| sinks[place].reducer).collect();
        let (writers, dtypes): (Vec<StoreWriter>, Vec<RowType>) =
            writers.into_iter().map(RowWriter::into_inner).unzip();
        let (rows, per_shard) = (samples.len(), params.shard_rows);
        let shards = Shards { stage: "gradients", unit: "rows", rows, per_shard };
        let (stores, report) = run_shards::<GradientError>(
            &shards,
            writers,
            shard_name,
            progress,
            |range, places, progress| {
                let name = shard_name(range.start / per_shard);
                let mut report = PassReport::default();
                let computed = self.shard(samples, range, &reducers, progress, &mut report)?;
                let file = |place: &usize| {
                    let at = unfinished.iter().position(|other| other == place);
                    let shard = at.and_then(|at| computed.get(at));
                    shard.ok_or(GradientError::NoRow { index: 0 })?.to_bytes(dtypes[*place], &name)
                };
                Ok((places.iter().map(file).collect::<Result<_, _>>()?, report))
            },
        )?;
        let stores = stores.into_iter().zip(dtypes);
        Ok((stores.map(|(store, dtype)| RowStore::of(store, dtype)).collect(), report))
    }

    /// Rows of the samples at `positions`, one shard a reducer.
    fn shard(
        &self,
        samples: &Encodings<'_>,
        positions: Range<usize>,
        reducers: &[&dyn Reducer],
        progress: &mut dyn Progress,
        report: &mut PassReport,
    ) -> Result<Vec<RowShard>, GradientError> {
        let (mut encoded, mut skipped) = (Vec::new(), Vec::new());
        for outcome in samples.read_range(positions)? {
            match outcome {
                Outcome::Scored(sample) => encoded.push(sample),
                Outcome::Unscorable { id, index, reason } => {
                    skipped.push(Skipped { id, index, reason });
                    progress.advance(1);
                }
            }
        }
        let count = encoded.len();
        let zeros = |r: &&dyn Reducer| {
            let size = [count as i64, r.width() as i64];
            Ok((vec![None; count], Tensor::f_zeros(size, (self.row_kind(), Device::Cpu))?))
        };
        let mut all: Vec<(Vec<Option<RowInfo>>, Tensor)> =
            reducers.iter().map(zeros).collect::<Result<_, GradientError>>()?;
        let lengths: Vec<usize> = encoded.iter().map(|s| s.ids.len()).collect();
        for members in plan_batches(&lengths, self.params.token_budget)? {
            let batch: Vec<&Encoded> = members.iter().map(|&m| &encoded[m]).collect();
            report.texts += batch.len();
            report.tokens += batch.iter().map(|s| s.ids.len()).sum::<usize>();
            let parts = self.batch_rows(&batch, reducers)?;
            let at: Vec<i64> = members.iter().map(|&m| m as i64).collect();
            let at = Tensor::f_from_slice(&at)?;
            for ((infos, rows), (found, part)) in all.iter_mut().zip(parts) {
                let _ = rows.f_index_copy_(0, &at, &part)?;
                for (&member, info) in members.iter().zip(found) {
                    infos[member] = Some(info);
                }
            }
            progress.advance(members.len() as u64);
        }
        let bad =
            |k: &usize| all.iter().any(|(infos, _)| infos[*k].as_ref().is_some_and(not_finite));
        report.skipped += skipped.len() + (0..count).filter(bad).count();
        all.into_iter().map(|(infos, rows)| kept(infos, &rows, &skipped)).collect()
    }

    /// Runs one batch and reduces it a layer at a time, so that a layer's gradients are freed
    /// before the next layer's are touched. Every reducer has rows and norms of its own.
    fn batch_rows(
        &self,
        samples: &[&Encoded],
        reducers: &[&dyn Reducer],
    ) -> Result<Vec<(Vec<RowInfo>, Tensor)>, GradientError> {
        let device = self.model.shape().device;
        let batch = Batch::new(samples, device)?;
        let ids: Vec<&str> = samples.iter().map(|s| s.id.as_ref()).collect();
        let trace = trace_batch(
            self.model,
            &batch,
            &ids,
            self.layers,
            self.params.reduction,
            Labels::Data,
        )?;
        let _no_grad = tch::no_grad_guard();
        let zeros = |r: &&dyn Reducer| {
            let size = [samples.len() as i64, r.width() as i64];
            Ok((SquaredNorms::new(), Tensor::f_zeros(size, (self.row_kind(), device))?))
        };
        let mut all: Vec<(SquaredNorms, Tensor)> =
            reducers.iter().map(zeros).collect::<Result<_, GradientError>>()?;
        let mut own_norms = SquaredNorms::new();
        for layer in trace.layers {
            let mut without = Vec::new();
            for (reducer, (norms, rows)) in reducers.iter().zip(&mut all) {
                reducer.add(&layer, rows)?;
                match layer.take_squared_norms() {
                    Some(squares) => norms.add_squares(&squares)?,
                    None => without.push(norms),
                }
            }
            // Last, so that a gradient some reducer has formed is used rather than Gram matrices.
            if !without.is_empty() {
                let squares = own_norms.squares(&layer)?;
                without.into_iter().try_for_each(|norms| norms.add_squares(&squares))?;
            }
        }
        let losses = Vec::<f64>::try_from(trace.losses.f_to_kind(Kind::Double)?)?;
        let infos = |norms: Vec<f64>| {
            let all = samples.iter().zip(&losses).zip(norms).zip(&batch.counts);
            let info = |(((sample, &loss), norm), &targets): (((&&Encoded, _), _), _)| {
                let (id, index) = (sample.id.clone(), sample.index);
                RowInfo { id, index, norm, loss, targets }
            };
            all.map(info).collect()
        };
        let finish = |(norms, rows): (SquaredNorms, Tensor)| {
            let norms = match norms.finish()? {
                Some(norms) => Vec::<f64>::try_from(norms)?,
                None => vec![0.0; samples.len()],
            };
            Ok((infos(norms), rows.f_to_device(Device::Cpu)?))
        };
        all.into_iter().map(finish).collect()
    }

    /// Reduces samples held in memory, without a store: rows (samples, width) in the order given, which is what
    /// [`RowInfo::index`] counts.
    ///
    /// # Errors
    /// What the model or LibTorch reports.
    pub fn rows_of(
        &self,
        samples: &[Encoded],
        reducer: &dyn Reducer,
    ) -> Result<RowShard, GradientError> {
        let mut report = PassReport::default();
        let mut quiet = tamis_artifact::NoProgress;
        let mut shards = self.shard(
            &Encodings::of(samples),
            0..samples.len(),
            &[reducer],
            &mut quiet,
            &mut report,
        )?;
        shards.pop().ok_or(GradientError::NoRow { index: 0 })
    }

    /// Wide enough to add up: f64 for an f64 model, f32 otherwise.
    fn row_kind(&self) -> Kind {
        if self.model.shape().kind == Kind::Double { Kind::Double } else { Kind::Float }
    }
}

fn not_finite(info: &RowInfo) -> bool {
    !(info.norm.is_finite() && info.loss.is_finite())
}

/// The shard of one reducer: rows without those of samples whose gradients are not finite, which join
/// the others that were `skipped`.
fn kept(
    infos: Vec<Option<RowInfo>>,
    rows: &Tensor,
    skipped: &[Skipped],
) -> Result<RowShard, GradientError> {
    let (mut good, mut kept, mut skipped) = (Vec::new(), Vec::new(), skipped.to_vec());
    for (k, info) in (0i64..).zip(infos) {
        let Some(info) = info else { continue };
        if not_finite(&info) {
            let reason = Reason::NonFinite;
            skipped.push(Skipped { id: info.id, index: info.index, reason });
        } else {
            good.push(k);
            kept.push(info);
        }
    }
    skipped.sort_by_key(|s| s.index);
    let rows = rows.f_index_select(0, &Tensor::f_from_slice(&good)?)?;
    Ok(RowShard { infos: kept, rows, skipped })
}
