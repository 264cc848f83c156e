//! Seeds kept as products of thin matrices: less memory, and less work where layers are wide.

use std::collections::HashMap;

use tamis_artifact::Fingerprint;
use tamis_dataset::{Encoded, SampleId};
use tamis_gradients::{Entries, GradientError, GradientPass, LayerTrace, Reducer, random_matrix};
use tamis_kfac::Curvature;
use tamis_model::{LayerId, LayerInfo, row_major};
use tch::{Kind, Tensor};

use crate::InfluenceError;
use crate::contract::wide;
use crate::seeds::{each_solved, hash_of};

/// Columns beyond the rank that the search for the leading directions takes.
const OVERSAMPLING: i64 = 8;
/// Times that search is sharpened.
const POWER_STEPS: usize = 2;

/// `H⁻¹ ∇L(t) ≈ U_t V_tᵀ` of every seed `t`, layer by layer.
///
/// Takes `seeds × rank × (out + in)` numbers a layer instead of `seeds × out × in`, and as many
/// multiplications a token. A rank of at least `min(out, in)` keeps everything. [`LowRankSeeds::kept`]
/// says what was lost.
#[derive(Debug)]
pub struct LowRankSeeds {
    ids: Vec<SampleId>,
    layers: HashMap<LayerId, Thin>,
    kept: f64,
    fingerprint: Fingerprint,
}

/// One layer of all seeds.
#[derive(Debug)]
struct Thin {
    /// (out, seeds · rank).
    left: Tensor,
    /// (in (+1), seeds · rank).
    right: Tensor,
    rank: i64,
}

impl LowRankSeeds {
    /// Takes the seeds' gradients, divides them by `curvature` and keeps the `rank` leading directions
    /// of each layer's (a randomised singular value decomposition, arXiv 0909.4061, algorithm 4.4 with
    /// two power steps; the random directions depend on the layer's name alone).
    ///
    /// # Errors
    /// A rank of 0, and as [`Seeds::new`](crate::Seeds::new).
    pub fn new(
        pass: &GradientPass<'_>,
        samples: &[Encoded],
        curvature: &dyn Curvature,
        rank: usize,
    ) -> Result<Self, InfluenceError> {
        if rank == 0 {
            return Err(InfluenceError::Mismatch {
                what: "rank of the seeds",
                found: "0".to_owned(),
                expected: "at least 1".to_owned(),
            });
        }
        let shape = pass.model.shape();
        let at = (wide(shape.kind), shape.device);
        let count = samples.len() as i64;
        let mut parts = HashMap::new();
        for layer in pass.layers {
            let columns = layer.in_features + i64::from(layer.bias);
            let rank = (rank as i64).min(layer.out_features).min(columns);
            let left = Tensor::f_zeros([count, layer.out_features, rank], at)?;
            let right = Tensor::f_zeros([count, columns, rank], at)?;
            parts.insert(layer.id, (left, right, rank));
        }
        let (mut all, mut lost) = (0.0, 0.0);
        each_solved(pass, samples, curvature, |layer, places, solved| {
            let Some((left, right, rank)) = parts.get_mut(&layer.id) else { return Ok(()) };
            let solved = solved.f_to_kind(at.0)?;
            let (u, v) = leading(layer, &solved, *rank)?;
            let square = |t: &Tensor| -> Result<f64, InfluenceError> {
                Ok(t.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?)
            };
            all += square(&solved)?;
            lost += square(&solved.f_sub(&u.f_bmm(&v.f_transpose(1, 2)?)?)?)?;
            let _ = left.f_index_copy_(0, places, &u)?;
            let _ = right.f_index_copy_(0, places, &v)?;
            Ok(())
        })?;
        let mut layers: HashMap<LayerId, Thin> = HashMap::new();
        for (id, (left, right, rank)) in parts {
            let flat = |t: Tensor| row_major(&t.f_permute([1i64, 0, 2])?.f_flatten(1, -1)?);
            layers.insert(id, Thin { left: flat(left)?, right: flat(right)?, rank });
        }
        let kept = if all > 0.0 { 1.0 - lost / all } else { 1.0 };
        let thin = pass.layers.iter().filter_map(|layer| layers.get(&layer.id));
        let fingerprint = hash_of(thin.flat_map(|thin| [&thin.left, &thin.right]))?;
        let ids = samples.iter().map(|s| s.id.clone()).collect();
        Ok(Self { ids, layers, kept, fingerprint })
    }

    /// The same with another name for all that decides them, as [`Seeds::made_from`](crate::Seeds::made_from).
    #[must_use]
    pub fn made_from(self, fingerprint: Fingerprint) -> Self {
        Self { fingerprint, ..self }
    }

    /// Ids of the seeds, in the order of the score columns.
    pub fn ids(&self) -> &[SampleId] {
        &self.ids
    }

    /// Share of the seeds' squared norm that is kept, over all layers and seeds: 1 if nothing was lost.
    pub fn kept(&self) -> f64 {
        self.kept
    }
}

/// `U` (seeds, out, rank) and `V` (seeds, in, rank) with `U Vᵀ` near `solved` (seeds, out, in).
fn leading(
    layer: &LayerInfo,
    solved: &Tensor,
    rank: i64,
) -> Result<(Tensor, Tensor), InfluenceError> {
    let (_, out, columns) = solved.size3()?;
    let wanted = (rank + OVERSAMPLING).min(out).min(columns);
    let at = (solved.kind(), solved.device());
    let random = random_matrix(
        Entries::Gaussian,
        wanted,
        columns,
        0,
        ("leading directions", &layer.name),
        at,
    )?;
    let orthogonal =
        |t: Tensor| -> Result<Tensor, InfluenceError> { Ok(Tensor::f_linalg_qr(&t, "reduced")?.0) };
    let transposed = solved.f_transpose(1, 2)?;
    let mut range = orthogonal(solved.f_matmul(&random.f_transpose(0, 1)?)?)?;
    for _ in 0..POWER_STEPS {
        range = orthogonal(solved.f_matmul(&orthogonal(transposed.f_matmul(&range)?)?)?)?;
    }
    let small = range.f_transpose(1, 2)?.f_matmul(solved)?;
    let (u, s, v) = small.f_svd(true, true)?;
    let u = range.f_matmul(&u)?.f_mul(&s.f_unsqueeze(1)?)?.f_narrow(2, 0, rank)?;
    Ok((u, v.f_narrow(2, 0, rank)?))
}

/// Scores candidates against every seed as [`Seeds`](crate::Seeds) does, up to what the rank loses:
/// `Σ_layers Σ_t (U_qᵀ g_t) · (V_qᵀ x̃_t)`, token by token (`time · seeds · rank · (out + in)`
/// multiplications a sample) or from the formed gradient (`(time + seeds · rank) · out · in`), whichever
/// takes fewer.
impl Reducer for LowRankSeeds {
    fn width(&self) -> usize {
        self.ids.len()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn add(&self, trace: &LayerTrace, rows: &mut Tensor) -> Result<(), GradientError> {
        let info = trace.info();
        let thin = self.layers.get(&info.id);
        let thin =
            thin.ok_or_else(|| GradientError::LayerNotReached { name: info.name.clone() })?;
        let kind = thin.left.kind();
        let ((batch, time), directions) = (trace.extent(), thin.left.size()[1]);
        let whole = info.out_features * thin.right.size()[0];
        let forming = if trace.is_formed() { 0 } else { time };
        let by_token = time * directions * (info.out_features + thin.right.size()[0]);
        let meetings = if (forming + directions) * whole <= by_token {
            let turned = trace.formed()?.f_to_kind(kind)?.f_matmul(&thin.right)?;
            turned.f_mul(&thin.left)?.f_sum_dim_intlist([1i64].as_slice(), false, kind)?
        } else {
            let g = trace.g().f_to_kind(kind)?.f_matmul(&thin.left)?;
            let x = trace.augmented()?.f_to_kind(kind)?.f_matmul(&thin.right)?;
            g.f_mul(&x)?.f_sum_dim_intlist([1i64].as_slice(), false, kind)?
        };
        let scores = meetings.f_view([batch, -1, thin.rank])?;
        let scores = scores.f_sum_dim_intlist([-1i64].as_slice(), false, kind)?;
        let _ = rows.f_add_(&scores.f_to_kind(rows.kind())?)?;
        Ok(())
    }
}
