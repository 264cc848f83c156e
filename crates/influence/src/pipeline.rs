//! Influence on a few seeds as a stage of a pipeline: curvature, gradients and scores, kept in folders and resumed.

use std::path::Path;

use serde_json::json;
use tamis_artifact::{Fingerprint, Progress};
use tamis_dataset::{Encoded, Encodings, SampleId};
use tamis_gradients::{
    GradientError, GradientPass, PassParams, ProjectionSpec, RowStore, RowType, Sink,
};
use tamis_kfac::{CurvatureFit, CurvatureKind, Damping, FitParams};
use tamis_model::{CausalLm, LayerInfo};
use tch::Tensor;

use crate::scored::scored;
use crate::{InfluenceError, ScoreTable, Seeds};

/// Influence of samples on seeds, with the samples' projected gradients for whatever comes next.
///
/// A curvature is fitted on the samples; then one pass writes their projected gradients and their influence on every
/// seed, whose whole gradients are held ([`Seeds::bytes`]).
#[derive(Clone, Copy)]
pub struct InfluenceStage<'a> {
    /// The model; its weights stay frozen.
    pub model: &'a dyn CausalLm,
    /// The layers whose gradients count.
    pub layers: &'a [LayerInfo],
    /// How the pass goes over the samples.
    pub pass: PassParams,
    /// Which curvature.
    pub curvature: CurvatureKind,
    /// How it is fitted.
    pub fit: FitParams,
    /// What is added to its eigenvalues.
    pub damping: Damping,
    /// How gradients are stored; not on eigenvectors of the curvature.
    pub projection: ProjectionSpec,
    /// Seed of the projection.
    pub seed: u64,
}

impl std::fmt::Debug for InfluenceStage<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InfluenceStage")
            .field("layers", &self.layers.len())
            .field("curvature", &self.curvature)
            .field("projection", &self.projection)
            .finish_non_exhaustive()
    }
}

/// What an [`InfluenceStage`] found.
#[derive(Debug)]
pub struct Influence {
    /// Influence of every sample on every seed.
    pub table: ScoreTable,
    /// Projected gradients (f16) of the same samples.
    pub gradients: RowStore,
}

impl Influence {
    /// The stored gradients (count, width) of the candidates at `positions` of the table, in that order.
    ///
    /// # Errors
    /// [`InfluenceError::Mismatch`] beyond the table, or a store that is damaged.
    pub fn gradients_at(&self, positions: &[usize]) -> Result<Tensor, InfluenceError> {
        let index = |&at: &usize| match self.table.candidates.get(at) {
            Some(candidate) => Ok(candidate.info.index),
            None => Err(InfluenceError::Mismatch {
                what: "position of a candidate",
                found: at.to_string(),
                expected: format!("below {}", self.table.candidates.len()),
            }),
        };
        let indices: Vec<usize> = positions.iter().map(index).collect::<Result<_, _>>()?;
        Ok(self.gradients.gather(&indices)?)
    }

    /// Ids of the candidates at `positions` of the table, in that order; positions beyond it have none.
    pub fn ids_at(&self, positions: &[usize]) -> Vec<SampleId> {
        let candidates = positions.iter().filter_map(|&at| self.table.candidates.get(at));
        candidates.map(|candidate| candidate.info.id.clone()).collect()
    }
}

impl<'a> InfluenceStage<'a> {
    /// K-FAC with the default damping, gradients of `layers` projected to 16 × 16 numbers each.
    pub fn new(model: &'a dyn CausalLm, layers: &'a [LayerInfo]) -> Self {
        Self {
            model,
            layers,
            pass: PassParams::default(),
            curvature: CurvatureKind::default(),
            fit: FitParams::default(),
            damping: Damping::default(),
            projection: ProjectionSpec::default(),
            seed: 0,
        }
    }

    /// Fits, scores and stores below `dir`. What an earlier run has finished is only read. The manifests name
    /// the samples and all that decides their tokens, the model, the seeds and the settings.
    ///
    /// # Errors
    /// Folders made from something else, naming the field; no seed, an id that two samples or two seeds have; what the model, the data or the disk reports.
    pub fn run(
        &self,
        samples: &Encodings<'_>,
        seeds: &[Encoded],
        dir: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Influence, InfluenceError> {
        let Self { model, layers, .. } = *self;
        samples.check().map_err(GradientError::from)?;
        let fit = CurvatureFit { model, layers, params: self.fit, layers_at_once: None };
        let fitted = fit.run(self.curvature, samples, dir, progress)?;

        let pass = GradientPass { model, layers, params: self.pass };
        let queries = Encodings::of(seeds);
        queries.check().map_err(GradientError::from)?;
        let made_from: Fingerprint = json!({
            "curvature": fitted.fingerprint(),
            "damping": self.damping,
            "queries": queries.fingerprint().map_err(GradientError::from)?,
        })
        .into();
        let ids: Vec<_> = seeds.iter().map(|seed| seed.id.clone()).collect();
        let shape = model.shape();
        // Stored gradients serve any seeds and any curvature.
        let projection = self.projection.build(layers, self.seed, shape.kind, shape.device)?;
        let stored = Sink::new(&projection, "gradients", dir.join("gradients"), RowType::F16);
        let (scores, mut rows, _) = scored::<InfluenceError>(
            &pass,
            samples,
            &[stored],
            (&dir.join("scores"), made_from),
            || Seeds::new(&pass, seeds, fitted.curvature(self.damping)?.as_ref()),
            progress,
        )?;
        let gradients = rows.pop().ok_or(GradientError::NoRow { index: 0 })?;
        Ok(Influence { table: ScoreTable::from_scores(&scores, &ids)?, gradients })
    }
}
