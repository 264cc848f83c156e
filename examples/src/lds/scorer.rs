//! Scores of every sample against every query, by each strategy.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tamis::artifact::{Fingerprint, Random, StoreWriter, hash_bytes};
use tamis::dataset::{Encoded, Encodings};
use tamis::gradients::{GradientPass, RowInfo};
use tamis::influence::{ConjugateGradient, GaussNewton, GaussNewtonParams, Refinement, Seeds};
use tamis::kfac::{Curvature, CurvatureFit, CurvatureKind, FactorFit, Identity};
use tamis::model::{CausalLm, LayerInfo};

use super::{Flags, Strategy};
use crate::Bars;
use crate::batches::mean_states;

/// What a strategy gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Wall-clock time of scoring, with the fit of the curvature if that was not there before.
    pub seconds: f64,
    /// A row for every sample, a number for every query; positive: training on the sample lowers
    /// the query's loss.
    pub scores: Vec<Vec<f64>>,
}

/// What scores are computed from.
pub struct Scorer<'a> {
    /// The flags.
    pub flags: &'a Flags,
    /// The model fine-tuned on the whole pool.
    pub model: &'a dyn CausalLm,
    /// Layers whose gradients count.
    pub layers: &'a [LayerInfo],
    /// The pool.
    pub data: &'a [Encoded],
    /// The queries.
    pub queries: &'a [Encoded],
}

impl fmt::Debug for Scorer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scorer").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

impl Scorer<'_> {
    /// The scores of a strategy: computed now, or by an earlier run with the same settings.
    ///
    /// # Errors
    /// A sample without a finite gradient, what the curvature reports, or a full disk.
    pub fn scores(&self, strategy: Strategy) -> Result<Scores> {
        let pass = self.pass();
        let settings = json!({
            "damping": self.flags.damping,
            "fit": self.flags.fitting(),
            "seed": self.flags.seed,
        });
        let made_of = pass
            .provenance(&Encodings::of(self.data))?
            .made_from("queries", Encodings::of(self.queries).fingerprint()?)
            .made_from("scoring", settings.into());
        let folder = self.folder("scores", &made_of.fingerprint());
        let mut store = StoreWriter::create_or_resume(folder, &made_of.manifest("lds-scores", 2))?;
        let shard = strategy.to_string().replace(['+', ':'], "-");
        if store.has(&shard) {
            let scores = serde_json::from_slice(&store.read(&shard)?);
            return scores.with_context(|| format!("reading the scores of {strategy}"));
        }
        let begun = Instant::now();
        let scores = self.compute(strategy, &pass)?;
        let scores = Scores { seconds: begun.elapsed().as_secs_f64(), scores };
        store.write(&shard, &serde_json::to_vec(&scores)?)?;
        Ok(scores)
    }

    fn pass(&self) -> GradientPass<'_> {
        GradientPass { model: self.model, layers: self.layers, params: self.flags.passing() }
    }

    /// The one place that knows what a strategy is.
    fn compute(&self, strategy: Strategy, pass: &GradientPass<'_>) -> Result<Vec<Vec<f64>>> {
        let seeds = match strategy {
            Strategy::Random => return Ok(self.by_lot()),
            Strategy::EmbeddingCosine => return self.embedding_cosine(),
            Strategy::GradientCosine => return self.gradient_cosine(pass),
            Strategy::Influence(kind) => {
                Seeds::new(pass, self.queries, self.curvature(kind)?.as_ref())?
            }
            Strategy::Refined { with, steps } => self.refined(pass, with, steps)?,
        };
        Ok(influence(pass, self.data, &seeds)?.0)
    }

    fn by_lot(&self) -> Vec<Vec<f64>> {
        let mut random = Random::keyed(self.flags.seed, "lds scores", "");
        let mut row = || (0..self.queries.len()).map(|_| random.fraction() - 0.5).collect();
        self.data.iter().map(|_| row()).collect()
    }

    fn embedding_cosine(&self) -> Result<Vec<Vec<f64>>> {
        let states = |samples: &[Encoded]| -> Result<Array2<f64>> {
            let rows = mean_states(self.model, samples, self.flags.token_budget)?;
            let mut rows = rows.mapv(f64::from);
            for mut row in rows.axis_iter_mut(Axis(0)) {
                let norm = row.dot(&row).sqrt();
                row /= norm.max(f64::MIN_POSITIVE);
            }
            Ok(rows)
        };
        let cosines = states(self.data)?.dot(&states(self.queries)?.t());
        Ok(cosines.outer_iter().map(|row| row.to_vec()).collect())
    }

    fn gradient_cosine(&self, pass: &GradientPass<'_>) -> Result<Vec<Vec<f64>>> {
        let seeds = Seeds::new(pass, self.queries, &Identity)?;
        let (mut scores, norms) = influence(pass, self.data, &seeds)?;
        let (_, of_queries) = influence(pass, self.queries, &seeds)?;
        for (row, norm) in scores.iter_mut().zip(norms) {
            for (score, of_query) in row.iter_mut().zip(&of_queries) {
                *score /= (norm * of_query).max(f64::MIN_POSITIVE);
            }
        }
        Ok(scores)
    }

    fn curvature(&self, kind: CurvatureKind) -> Result<Box<dyn Curvature>> {
        let (model, layers, params) = (self.model, self.layers, self.flags.fitting());
        let data = Encodings::of(self.data);
        // Kinds share what they have in common.
        let made_of = FactorFit { model, layers, params }.provenance(&data)?;
        let folder = self.folder("curvature", &made_of.fingerprint());
        let fit = CurvatureFit { model, layers, params, layers_at_once: None };
        let fitted = fit.run(kind, &data, &folder, &mut Bars::default())?;
        Ok(fitted.curvature(self.flags.damping)?)
    }

    /// Conjugate gradients on the Gauss–Newton matrix of the whole pool.
    fn refined(&self, pass: &GradientPass<'_>, with: CurvatureKind, steps: usize) -> Result<Seeds> {
        let token_budget = self.flags.token_budget;
        let params = GaussNewtonParams { token_budget, ..GaussNewtonParams::default() };
        let data = Encodings::of(self.data);
        let matrix = GaussNewton::new(self.model, self.layers, &data, params)?;
        let preconditioner = self.curvature(with)?;
        let method = ConjugateGradient { steps, tolerance: 0.0 };
        let refinement = Refinement::new(&matrix, preconditioner.as_ref(), method)?;
        Ok(refinement.run(pass, self.queries, &mut Bars::default())?.0)
    }

    /// One folder for each setting: other layers, labels or another damping stand beside each
    /// other.
    fn folder(&self, kind: &str, made_of: &Fingerprint) -> PathBuf {
        let name = hash_bytes(made_of.value().to_string().as_bytes());
        self.flags.out.join(kind).join(&name[..12])
    }
}

/// Influence of every sample on every seed, and the norms of the samples' gradients.
fn influence(
    pass: &GradientPass<'_>,
    samples: &[Encoded],
    seeds: &Seeds,
) -> Result<(Vec<Vec<f64>>, Vec<f64>)> {
    let shard = pass.rows_of(samples, seeds)?;
    if let Some(skipped) = shard.skipped.first() {
        bail!("sample {} has no score: {}", skipped.id, skipped.reason);
    }
    let flat = Vec::<f64>::try_from(&shard.rows.f_to_kind(tch::Kind::Double)?.f_flatten(0, -1)?)?;
    let width = seeds.ids().len();
    let norms = shard.infos.iter().map(|info: &RowInfo| info.norm).collect();
    Ok((flat.chunks_exact(width).map(<[f64]>::to_vec).collect(), norms))
}
