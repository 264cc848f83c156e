//! Where an influence comes from: layer by layer, token by token; and a sample's influence on itself.

use serde_json::json;
use tamis_artifact::Fingerprint;
use tamis_dataset::{Encoded, SampleId, plan_batches};
use tamis_gradients::{GradientError, GradientPass, Labels, LayerTrace, Reducer, trace_batch};
use tamis_kfac::Curvature;
use tamis_model::{Batch, LayerInfo};
use tch::{Device, Kind, Tensor};

use crate::contract::{self, wide};
use crate::{InfluenceError, Seeds};

/// Scores of every layer by itself: a row is (layers, seeds), layers in the order chosen. Summed over the
/// layers it is the row of [`Seeds`].
#[derive(Clone, Copy, Debug)]
pub struct PerLayer<'a>(pub &'a Seeds);

impl Reducer for PerLayer<'_> {
    fn width(&self) -> usize {
        self.0.layers().len() * self.0.ids().len()
    }

    fn fingerprint(&self) -> Fingerprint {
        json!({ "per_layer": self.0.fingerprint() }).into()
    }

    fn add(&self, trace: &LayerTrace, rows: &mut Tensor) -> Result<(), GradientError> {
        let info = trace.info();
        let place = self.0.layers().iter().position(|layer| layer.id == info.id);
        let name = || GradientError::LayerNotReached { name: info.name.clone() };
        let place = place.ok_or_else(name)?;
        let seeds = self.0.ids().len() as i64;
        self.0.add(trace, &mut rows.f_narrow(1, place as i64 * seeds, seeds)?)
    }
}

/// A sample's influence on itself, `∇L(m)ᵀ H⁻¹ ∇L(m)`: how much the model has to bend for it. Large
/// values point at rare, mislabelled or contradictory samples. One number a row.
#[derive(Clone)]
pub struct SelfInfluence<'a> {
    curvature: &'a dyn Curvature,
    fingerprint: Fingerprint,
}

impl<'a> SelfInfluence<'a> {
    /// Under `curvature`, which `made_from` names: the fit and the damping, say.
    pub fn new(curvature: &'a dyn Curvature, made_from: &Fingerprint) -> Self {
        let fingerprint = json!({ "self_influence": made_from }).into();
        Self { curvature, fingerprint }
    }
}

impl std::fmt::Debug for SelfInfluence<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SelfInfluence")
    }
}

impl Reducer for SelfInfluence<'_> {
    fn width(&self) -> usize {
        1
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn add(&self, trace: &LayerTrace, rows: &mut Tensor) -> Result<(), GradientError> {
        let own = self.curvature.quadratic(trace.info(), trace.formed()?);
        let own = own.map_err(GradientError::reducer)?;
        let _ = rows.f_add_(&own.f_unsqueeze(1)?.f_to_kind(rows.kind())?)?;
        Ok(())
    }
}

/// What each token of a candidate contributes to its influence.
#[derive(Debug)]
pub struct TokenScores {
    /// Id of the candidate.
    pub id: SampleId,
    /// (tokens, seeds) in f32, on the host. Row `t` is what flows through the layers at token `t`: the
    /// loss of the *next* token, if it is a target, and the losses of later ones that look back at `t`.
    /// Summed over the tokens it is the candidate's row of [`Seeds`].
    pub scores: Tensor,
}

impl Seeds {
    /// Scores of `samples` by token, in their order.
    ///
    /// Takes `seeds × time × out × in` multiplications a sample and layer: for a few candidates that
    /// are looked at, not for a pool.
    ///
    /// # Errors
    /// What the model or LibTorch reports.
    pub fn token_scores(
        &self,
        pass: &GradientPass<'_>,
        samples: &[Encoded],
    ) -> Result<Vec<TokenScores>, InfluenceError> {
        let shape = pass.model.shape();
        let lengths: Vec<usize> = samples.iter().map(|s| s.ids.len()).collect();
        let mut found: Vec<Option<TokenScores>> = samples.iter().map(|_| None).collect();
        let budget = pass.params.token_budget;
        for members in plan_batches(&lengths, budget).map_err(GradientError::from)? {
            let rows: Vec<&Encoded> = members.iter().map(|&m| &samples[m]).collect();
            let batch = Batch::new(&rows, shape.device).map_err(GradientError::from)?;
            let ids: Vec<&str> = rows.iter().map(|s| s.id.as_ref()).collect();
            let reduction = pass.params.reduction;
            let traced =
                trace_batch(pass.model, &batch, &ids, pass.layers, reduction, Labels::Data)?;
            let _no_grad = tch::no_grad_guard();
            let (count, time) = batch.ids.size2()?;
            let size = [count, time, self.ids().len() as i64];
            let mut sum = Tensor::f_zeros(size, (wide(shape.kind), shape.device))?;
            for trace in traced.layers {
                let solved = self.solved(trace.info())?;
                let _ = sum.f_add_(&contract::by_token(&trace, solved)?)?;
            }
            let sum = sum.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?;
            for (row, &member) in (0..).zip(&members) {
                let own = sum.f_get(row)?.f_narrow(0, 0, lengths[member] as i64)?;
                let scores = own.f_contiguous()?;
                found[member] = Some(TokenScores { id: samples[member].id.clone(), scores });
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// The solved gradients of a layer, or that it has none.
    pub(crate) fn solved(&self, layer: &LayerInfo) -> Result<&Tensor, GradientError> {
        let name = || GradientError::LayerNotReached { name: layer.name.clone() };
        self.layer(layer.id).ok_or_else(name)
    }
}
