//! What methods choose by: computed once for all cells, kept on disk where it takes long.

use std::cell::OnceCell;

use anyhow::{Context, Result, bail};
use ndarray::Array2;
use serde_json::json;
use tamis::artifact::Random;
use tamis::clustering::{KMeansParams, Resample, Within};
use tamis::dataset::{Encoded, Encodings};
use tamis::gradients::{
    GradientPass, GradientVectors, Labels, PassParams, ProjectionSpec, RowStore, RowType, Sink,
};
use tamis::influence::{Rule, ScoreTable, Seeds};
use tamis::kfac::{Curvature, CurvatureFit, CurvatureKind, Damping, FitParams, Identity};
use tamis::model::{CausalLm, LayerPattern};
use tamis::selection::Vectors;

use super::{Flags, Kind, Method};
use crate::batches::{mean_losses, mean_states};
use crate::{Bars, adapt};

/// Everything the methods may ask about the pool.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The flags.
    pub flags: &'a Flags,
    /// The pool, in its order.
    pub data: &'a [Encoded],
    /// The seeds of influence.
    pub seeds: &'a [Encoded],
    losses: OnceCell<Vec<f64>>,
    embeddings: OnceCell<Array2<f32>>,
    influence: OnceCell<Influence>,
}

/// Scores and projected gradients at the adapted model.
#[derive(Debug)]
struct Influence {
    identity: ScoreTable,
    kfac: ScoreTable,
    gradients: RowStore,
}

impl<'a> Evidence<'a> {
    /// Nothing is computed yet.
    pub fn new(flags: &'a Flags, data: &'a [Encoded], seeds: &'a [Encoded]) -> Self {
        let (losses, embeddings, influence) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { flags, data, seeds, losses, embeddings, influence }
    }

    /// Positions in the pool that a method chooses, ascending. `model` has the weights of the starting
    /// point.
    ///
    /// # Errors
    /// What the method's computations report.
    pub fn choose(
        &self,
        method: Method,
        budget: usize,
        seed: u64,
        model: &dyn CausalLm,
    ) -> Result<Vec<usize>> {
        let mut chosen = match method.kind {
            Kind::Random => {
                let mut order: Vec<usize> = (0..self.data.len()).collect();
                Random::keyed(seed, "study choice", "").shuffle(&mut order);
                order
            }
            Kind::Longest => {
                let mut order: Vec<usize> = (0..self.data.len()).collect();
                order.sort_by_key(|&row| std::cmp::Reverse(self.data[row].targets()));
                order
            }
            Kind::Perplexity => {
                let losses = self.losses(model)?;
                let mut order: Vec<usize> = (0..self.data.len()).collect();
                order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
                order
            }
            Kind::Embedding => {
                let rows = self.embeddings(model)?;
                spread(rows, method.clusters, budget, seed)?
            }
            Kind::GdigTop | Kind::GdigKfac | Kind::GdigIdentity => {
                self.gdig(method, budget, seed)?
            }
        };
        chosen.truncate(budget);
        chosen.sort_unstable();
        Ok(chosen)
    }

    /// Mean loss of every answer under the starting model: the logarithm of its perplexity.
    fn losses(&self, model: &dyn CausalLm) -> Result<&[f64]> {
        if self.losses.get().is_none() {
            let losses = mean_losses(model, self.data, self.flags.token_budget)?;
            let _ = self.losses.set(losses);
        }
        self.losses.get().map(Vec::as_slice).context("losses of the pool")
    }

    fn embeddings(&self, model: &dyn CausalLm) -> Result<&Array2<f32>> {
        if self.embeddings.get().is_none() {
            let rows = mean_states(model, self.data, self.flags.token_budget)?;
            let _ = self.embeddings.set(rows);
        }
        self.embeddings.get().context("embeddings of the pool")
    }

    /// G-DIG: those that help, then evenly over clusters of their gradients.
    fn gdig(&self, method: Method, budget: usize, seed: u64) -> Result<Vec<usize>> {
        let influence = self.influence()?;
        let table = match method.kind {
            Kind::GdigIdentity => &influence.identity,
            _ => &influence.kfac,
        };
        let table = table.first_seeds(method.seeds.unwrap_or(self.seeds.len()));
        let place = |positions: &[usize]| -> Vec<usize> {
            positions.iter().map(|&p| table.candidates[p].info.index).collect()
        };
        if method.kind == Kind::GdigTop {
            return Ok(place(&Rule::Normalised.apply(&table, budget, budget)?.positions));
        }
        let enough = (budget as f64 * self.flags.headroom).ceil() as usize;
        let helpful = place(&Rule::Auto.apply(&table, budget, enough)?.positions);
        let rows = GradientVectors::new(&influence.gradients, &helpful)?.unit();
        let drawn = spread(&rows, method.clusters, budget, seed)?;
        Ok(drawn.into_iter().map(|row| helpful[row]).collect())
    }

    fn influence(&self) -> Result<&Influence> {
        if self.influence.get().is_none() {
            let _ = self.influence.set(self.take_influence()?);
        }
        self.influence.get().context("influence on the seeds")
    }

    /// Adapts the model to the pool and takes everybody's gradients once.
    fn take_influence(&self) -> Result<Influence> {
        let flags = self.flags;
        let out = flags.out.join("gdig");
        let start = flags.model.load()?;
        let data = Encodings::of(self.data);
        let (model, _) = adapt(&flags.model, start, &data, flags.adaptation(), &out)?;
        let model = &model;

        let layers = LayerPattern::default().select(model.layers())?;
        let labels = Labels::Sampled { seed: flags.seed };
        let params = FitParams { labels, ..FitParams::default() };
        let fit = CurvatureFit { model, layers: &layers, params, layers_at_once: None };
        let fitted = fit.run(CurvatureKind::Kfac, &data, &out, &mut Bars::default())?;
        let kfac = fitted.curvature(Damping::default())?;

        let pass = GradientPass { model, layers: &layers, params: PassParams::default().check()? };
        let shape = model.shape();
        let projection = ProjectionSpec::default();
        let projection = projection.build(&layers, flags.seed, shape.kind, shape.device)?;
        let queries = Encodings::of(self.seeds).fingerprint()?;
        let seeds = |name: &str, curvature: &dyn Curvature| -> Result<Seeds> {
            let made_from =
                json!({ "queries": queries, "curvature": name, "fitted": fitted.fingerprint() });
            Ok(Seeds::new(&pass, self.seeds, curvature)?.made_from(made_from.into()))
        };
        let (identity, kfac) = (seeds("identity", &Identity)?, seeds("kfac", kfac.as_ref())?);
        let sinks = [
            Sink::new(&projection, "gradients", out.join("gradients"), RowType::F16),
            Sink::new(&identity, "scores", out.join("scores-identity"), RowType::F32),
            Sink::new(&kfac, "scores", out.join("scores-kfac"), RowType::F32),
        ];
        let (stores, _) = pass.run(&data, &sinks, &mut Bars::default())?;
        let Ok([gradients, identity, kfac]) = <[RowStore; 3]>::try_from(stores) else {
            bail!("the pass gave other rows than were asked for");
        };
        let ids: Vec<_> = self.seeds.iter().map(|seed| seed.id.clone()).collect();
        Ok(Influence {
            identity: ScoreTable::from_scores(&identity, &ids)?,
            kfac: ScoreTable::from_scores(&kfac, &ids)?,
            gradients,
        })
    }
}

/// Evenly over k-means clusters of the rows.
fn spread(
    rows: &dyn Vectors,
    clusters: Option<usize>,
    budget: usize,
    seed: u64,
) -> Result<Vec<usize>> {
    let count = rows.len();
    let k = clusters.unwrap_or((count as f64).sqrt() as usize).clamp(1, count);
    let fit = KMeansParams { k, seed, ..KMeansParams::default() }.check()?.fit(rows)?;
    Ok(Resample { budget, within: Within::Random, seed }.draw(&fit.labels, None, None)?)
}
