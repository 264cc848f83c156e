//! Seed gradients, divided by the curvature.

use std::collections::HashMap;

use serde_json::json;
use tamis_artifact::Fingerprint;
use tamis_dataset::{Encoded, SampleId, plan_batches};
use tamis_gradients::{
    GradientError, GradientPass, Labels, LayerTrace, Projection, Reducer, gradient_columns,
    gradient_size, trace_batch,
};
use tamis_kfac::Curvature;
use tamis_model::{Batch, LayerId, LayerInfo, row_major, visit_bytes};
use tch::{Device, Kind, Tensor};

use crate::InfluenceError;
use crate::contract::{self, Contraction, wide};

/// `H⁻¹ ∇L(t)` of every seed `t`, layer by layer, kept whole.
///
/// Takes `seeds × parameters of the chosen layers` numbers of memory ([`Seeds::bytes`]).
#[derive(Debug)]
pub struct Seeds {
    ids: Vec<SampleId>,
    layers: Vec<LayerInfo>,
    /// (seeds, out, in (+1)).
    solved: HashMap<LayerId, Tensor>,
    contraction: Contraction,
    fingerprint: Fingerprint,
}

impl Seeds {
    /// Bytes [`Seeds`] will take for `count` seeds of a model in `kind`: 8 a number for f64, else 4.
    pub fn bytes(layers: &[LayerInfo], count: usize, kind: Kind) -> u64 {
        let scalar = wide(kind).elt_size_in_bytes();
        let entries: u64 = layers.iter().map(|l| gradient_size(l) as u64).sum();
        entries * count as u64 * scalar as u64
    }

    /// Takes the seeds' gradients with the same pass parameters as the candidates' and divides
    /// them by `curvature`.
    ///
    /// # Errors
    /// No seed, a seed whose gradient is not finite, or what the model or the curvature reports.
    pub fn new(
        pass: &GradientPass<'_>,
        samples: &[Encoded],
        curvature: &dyn Curvature,
    ) -> Result<Self, InfluenceError> {
        let shape = pass.model.shape();
        let (count, kind) = (samples.len() as i64, wide(shape.kind));
        let mut solved = HashMap::new();
        for layer in pass.layers {
            let size = [count, layer.out_features, gradient_columns(layer)];
            solved.insert(layer.id, Tensor::f_zeros(size, (kind, shape.device))?);
        }
        each_solved(pass, samples, curvature, |layer, at, part| {
            if let Some(all) = solved.get_mut(&layer.id) {
                let _ = all.f_index_copy_(0, at, &part.f_to_kind(kind)?)?;
            }
            Ok(())
        })?;
        let ids = samples.iter().map(|s| s.id.clone()).collect();
        Self::from_solved(ids, pass.layers.to_vec(), solved)
    }

    /// Seeds from gradients that are solved already, (seeds, out, in (+1)) for each layer: refined ones,
    /// say. However they lie in memory, they are kept [row by row](row_major), so that scores do not
    /// depend on where they come from.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn from_solved(
        ids: Vec<SampleId>,
        layers: Vec<LayerInfo>,
        solved: HashMap<LayerId, Tensor>,
    ) -> Result<Self, InfluenceError> {
        let solved = solved.into_iter().map(|(id, own)| Ok((id, row_major(&own)?)));
        let solved: HashMap<LayerId, Tensor> = solved.collect::<Result<_, InfluenceError>>()?;
        let fingerprint = hash_of(layers.iter().filter_map(|layer| solved.get(&layer.id)))?;
        Ok(Self { ids, layers, solved, contraction: Contraction::default(), fingerprint })
    }

    /// The same with another name for all that decides them: queries, curvature and damping, say. By default it is a hash
    /// of the solved gradients, whose last bits may depend on the machine and its number of threads.
    #[must_use]
    pub fn made_from(self, fingerprint: Fingerprint) -> Self {
        Self { fingerprint, ..self }
    }

    /// All seeds as one, whose scores are the means over them: `H⁻¹ (1/T) Σ_t ∇L(t)`. Takes the memory
    /// of a single seed, and a single solve. Its id says how many there are.
    ///
    /// # Errors
    /// As [`Seeds::new`].
    pub fn mean(
        pass: &GradientPass<'_>,
        samples: &[Encoded],
        curvature: &dyn Curvature,
    ) -> Result<Self, InfluenceError> {
        let shape = pass.model.shape();
        let kind = wide(shape.kind);
        let mut sums = HashMap::new();
        for layer in pass.layers {
            let size = [layer.out_features, gradient_columns(layer)];
            sums.insert(layer.id, Tensor::f_zeros(size, (kind, shape.device))?);
        }
        each_trace(pass, samples, |trace, rows, _| {
            let Some(sum) = sums.get_mut(&trace.info().id) else { return Ok(()) };
            let g = trace.g().f_to_kind(kind)?.f_flatten(0, 1)?.f_transpose(0, 1)?;
            // All of the batch in one product; no seed's own gradient is formed.
            let part = g.f_matmul(&trace.augmented()?.f_to_kind(kind)?.f_flatten(0, 1)?)?;
            if !part.f_sum(Kind::Double)?.f_double_value(&[])?.is_finite() {
                refuse_non_finite(trace, rows)?;
            }
            let _ = sum.f_add_(&part)?;
            Ok(())
        })?;
        let mut solved = HashMap::new();
        for layer in pass.layers {
            if let Some(sum) = sums.remove(&layer.id) {
                let mean = sum.f_div_scalar(samples.len() as f64)?.f_unsqueeze(0)?;
                solved.insert(layer.id, curvature.solve(layer, &mean)?.f_to_kind(kind)?);
            }
        }
        let ids = vec![SampleId::from(format!("mean of {} seeds", samples.len()))];
        Self::from_solved(ids, pass.layers.to_vec(), solved)
    }

    /// Takes scores in another way than the cheapest; they differ in rounding only.
    #[must_use]
    pub fn contracted(self, contraction: Contraction) -> Self {
        Self { contraction, ..self }
    }

    /// Rows (seeds, width) in f32 for scoring against a two-sidedly projected store, with a
    /// curvature of the projected gradients ([`Fitted::projected`](tamis_kfac::Fitted::projected), whose
    /// `layers` are the ones to give): the seeds are projected first and solved then.
    ///
    /// # Errors
    /// No seed, a seed whose gradient is not finite, a projection that is not two-sided, or what
    /// the curvature reports.
    pub fn solve_projected(
        pass: &GradientPass<'_>,
        samples: &[Encoded],
        projected: &[LayerInfo],
        curvature: &dyn Curvature,
        projection: &Projection,
    ) -> Result<Tensor, InfluenceError> {
        if samples.is_empty() {
            return Err(InfluenceError::NoSeeds);
        }
        let shard = pass.rows_of(samples, projection)?;
        if let Some(skipped) = shard.skipped.first() {
            return Err(InfluenceError::NonFiniteSeed { id: skipped.id.to_string() });
        }
        let rows = shard.rows.f_to_kind(Kind::Float)?;
        for layer in projected {
            let sides = projection.two_sided(layer).ok_or_else(|| InfluenceError::Mismatch {
                what: "projection of the seeds",
                found: "another form".to_owned(),
                expected: "a two-sided one".to_owned(),
            })?;
            let (p, q) = (layer.out_features, layer.in_features);
            let mut own = rows.f_narrow(1, sides.offset, p * q)?;
            let gradients = own.f_reshape([-1, p, q])?;
            own.f_copy_(&curvature.solve(layer, &gradients)?.f_flatten(1, -1)?)?;
        }
        Ok(rows)
    }

    /// As [`Seeds::new`] followed by [`Seeds::projected`], but never holds more than one batch of
    /// seeds whole: for models whose gradients of all seeds do not fit into memory.
    ///
    /// # Errors
    /// As both.
    pub fn project(
        pass: &GradientPass<'_>,
        samples: &[Encoded],
        curvature: &dyn Curvature,
        projection: &Projection,
    ) -> Result<Tensor, InfluenceError> {
        let size = [samples.len() as i64, projection.width() as i64];
        let mut rows = Tensor::f_zeros(size, (Kind::Float, pass.model.shape().device))?;
        each_solved(pass, samples, curvature, |layer, at, part| {
            let mut own = rows.f_index_select(0, at)?;
            projection.add_formed(layer, &part, &mut own)?;
            let _ = rows.f_index_copy_(0, at, &own)?;
            Ok(())
        })?;
        Ok(rows)
    }

    /// Ids of the seeds, in the order of the score columns.
    pub fn ids(&self) -> &[SampleId] {
        &self.ids
    }

    /// The layers, in the order chosen.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// `H⁻¹ ∇L(t)` of one layer, (seeds, out, in (+1)).
    pub fn layer(&self, layer: LayerId) -> Option<&Tensor> {
        self.solved.get(&layer)
    }

    /// Projects the seeds with the projection of a store: rows (seeds, width) in f32. Their inner
    /// products with the store's rows estimate the influences without bias.
    ///
    /// # Errors
    /// A projection made for other layers, or what LibTorch reports.
    pub fn projected(&self, projection: &Projection) -> Result<Tensor, InfluenceError> {
        let _no_grad = tch::no_grad_guard();
        let device = self.solved.values().next().map_or(Device::Cpu, Tensor::device);
        let size = [self.ids.len() as i64, projection.width() as i64];
        let mut rows = Tensor::f_zeros(size, (Kind::Float, device))?;
        for layer in &self.layers {
            if let Some(solved) = self.solved.get(&layer.id) {
                projection.add_formed(layer, solved, &mut rows)?;
            }
        }
        Ok(rows)
    }
}

/// Names numbers by themselves.
pub(crate) fn hash_of<'a>(
    tensors: impl Iterator<Item = &'a Tensor>,
) -> Result<Fingerprint, InfluenceError> {
    let mut hasher = blake3::Hasher::new();
    for tensor in tensors {
        hasher.update(format!("{:?}", tensor.size()).as_bytes());
        visit_bytes(tensor, |bytes| {
            hasher.update(bytes);
            Ok::<(), InfluenceError>(())
        })?;
    }
    let hash = hasher.finalize().to_hex().to_string();
    Ok(Fingerprint::from(json!({ "solved_gradients": hash })))
}

/// Hands `H⁻¹ G` of each batch of seeds and layer to `take`, with the positions of the seeds.
pub(crate) fn each_solved(
    pass: &GradientPass<'_>,
    samples: &[Encoded],
    curvature: &dyn Curvature,
    mut take: impl FnMut(&LayerInfo, &Tensor, Tensor) -> Result<(), InfluenceError>,
) -> Result<(), InfluenceError> {
    each_trace(pass, samples, |trace, rows, at| {
        refuse_non_finite(trace, rows)?;
        take(trace.info(), at, curvature.solve(trace.info(), trace.formed()?)?)
    })
}

/// Hands every layer's trace of each batch of seeds to `take`, with the seeds and their positions.
fn each_trace(
    pass: &GradientPass<'_>,
    samples: &[Encoded],
    mut take: impl FnMut(&LayerTrace, &[&Encoded], &Tensor) -> Result<(), InfluenceError>,
) -> Result<(), InfluenceError> {
    if samples.is_empty() {
        return Err(InfluenceError::NoSeeds);
    }
    let device = pass.model.shape().device;
    let _no_grad = tch::no_grad_guard();
    let lengths: Vec<usize> = samples.iter().map(|s| s.ids.len()).collect();
    for members in plan_batches(&lengths, pass.params.token_budget).map_err(GradientError::from)? {
        let rows: Vec<&Encoded> = members.iter().map(|&m| &samples[m]).collect();
        let batch = Batch::new(&rows, device).map_err(GradientError::from)?;
        let ids: Vec<&str> = rows.iter().map(|s| s.id.as_ref()).collect();
        let reduction = pass.params.reduction;
        let trace = trace_batch(pass.model, &batch, &ids, pass.layers, reduction, Labels::Data)?;
        let at: Vec<i64> = members.iter().map(|&m| m as i64).collect();
        let at = Tensor::f_from_slice(&at)?.f_to_device(device)?;
        for layer in trace.layers {
            take(&layer, &rows, &at)?;
        }
    }
    Ok(())
}

/// Seeds are few and chosen by hand: one that cannot be used is an error, named.
fn refuse_non_finite(trace: &LayerTrace, rows: &[&Encoded]) -> Result<(), InfluenceError> {
    let sums = trace.formed()?.f_flatten(1, -1)?.f_isfinite()?.f_all_dim(1, false)?;
    match Vec::<bool>::try_from(sums)?.iter().position(|ok| !ok) {
        None => Ok(()),
        Some(row) => Err(InfluenceError::NonFiniteSeed { id: rows[row].id.to_string() }),
    }
}

/// Scores candidates against every seed from their exact gradients: `Σ_layers ⟨G, H⁻¹ G_seed⟩`.
///
/// Positive means helpful: training on the candidate lowers the seed's loss. (The sign of
/// arXiv 2405.12915, equation 4, is the opposite of its text; this is `+∇L(seed)ᵀ H⁻¹ ∇L(candidate)`.)
impl Reducer for Seeds {
    fn width(&self) -> usize {
        self.ids.len()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn add(&self, trace: &LayerTrace, rows: &mut Tensor) -> Result<(), GradientError> {
        let solved = self.solved(trace.info())?;
        let scores = contract::scores(trace, solved, self.contraction);
        let scores = scores.map_err(GradientError::reducer)?;
        let _ = rows.f_add_(&scores.f_to_kind(rows.kind())?)?;
        Ok(())
    }
}
