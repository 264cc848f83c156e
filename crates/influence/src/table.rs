//! The score matrix: candidates × seeds, with everything joined by id.

use tamis_dataset::Skipped;
use tamis_dataset::{Reason, SampleId};
use tamis_gradients::{RowInfo, RowShard, RowStore};
use tamis_selection::{Score, ScoredRow, Scores};
use tch::{Kind, Tensor};

use crate::InfluenceError;

/// What the columns of a table are called.
pub(crate) const COLUMNS: [&str; 3] = ["mean", "mean_normalised", "share_helped"];

/// One candidate's scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its id, row in the pool, gradient norm, loss and number of targets.
    pub info: RowInfo,
    /// Influence on each seed; positive = helpful.
    pub scores: Vec<f32>,
}

impl Candidate {
    /// Mean influence over the seeds.
    pub fn mean(&self) -> f64 {
        self.scores.iter().map(|&s| f64::from(s)).sum::<f64>() / self.scores.len().max(1) as f64
    }

    /// Mean influence divided by the candidate's gradient norm; 0 for a gradient of 0.
    pub fn mean_normalised(&self) -> f64 {
        if self.info.norm > 0.0 { self.mean() / self.info.norm } else { 0.0 }
    }

    /// Smallest influence on any seed.
    pub fn min(&self) -> f64 {
        self.scores.iter().map(|&s| f64::from(s)).fold(f64::INFINITY, f64::min)
    }

    /// Share of the seeds with positive influence.
    pub fn share_helped(&self) -> f64 {
        let helped = self.scores.iter().filter(|&&s| s > 0.0).count();
        helped as f64 / self.scores.len().max(1) as f64
    }
}

/// Scores of a pool against a seed set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreTable {
    /// Ids of the seeds, in the order of the columns.
    pub seeds: Vec<SampleId>,
    /// Candidates in pool order.
    pub candidates: Vec<Candidate>,
    /// Samples of the pool without a score, and why.
    pub skipped: Vec<Skipped>,
}

impl ScoreTable {
    /// Reads scores that a pass wrote with [`Seeds`](crate::Seeds) as its reducer.
    ///
    /// # Errors
    /// A damaged store, or one with another number of seeds.
    pub fn from_scores(store: &RowStore, seeds: &[SampleId]) -> Result<Self, InfluenceError> {
        Self::collect(store, seeds, |shard| Ok(shard.rows.f_to_kind(Kind::Float)?))
    }

    /// Scores a store of projected gradients against projected seeds (seeds, width), a shard at a
    /// time: seconds for a new seed set.
    ///
    /// # Errors
    /// A damaged store, or seeds projected to another width.
    pub fn from_gradients(
        store: &RowStore,
        seeds: &[SampleId],
        projected: &Tensor,
    ) -> Result<Self, InfluenceError> {
        let projected =
            projected.f_to_kind(Kind::Float)?.f_to_device(tch::Device::Cpu)?.f_transpose(0, 1)?;
        Self::collect(store, seeds, |shard| {
            let (found, expected) = (shard.rows.size()[1], projected.size()[0]);
            if found != expected {
                return Err(InfluenceError::Mismatch {
                    what: "numbers in a stored row",
                    found: found.to_string(),
                    expected: expected.to_string(),
                });
            }
            Ok(shard.rows.f_to_kind(Kind::Float)?.f_matmul(&projected)?)
        })
    }

    /// Columns `mean`, `mean_normalised` and `share_helped` of all samples of the pool, in its order; those that were skipped
    /// have the reason. What [`Rule`](crate::Rule) chooses by as a [`Selector`](tamis_selection::Selector).
    pub fn columns(&self) -> Scores {
        let scored = self.candidates.iter().map(|candidate| ScoredRow {
            id: candidate.info.id.clone(),
            index: candidate.info.index,
            scores: [candidate.mean(), candidate.mean_normalised(), candidate.share_helped()]
                .map(Score::Value)
                .to_vec(),
        });
        let skipped = self.skipped.iter().map(|skipped| ScoredRow {
            id: skipped.id.clone(),
            index: skipped.index,
            scores: vec![Score::Missing(skipped.reason.clone()); COLUMNS.len()],
        });
        let mut rows: Vec<ScoredRow> = scored.chain(skipped).collect();
        rows.sort_by_key(|row| row.index);
        Scores { columns: COLUMNS.map(str::to_owned).to_vec(), rows, resumed: 0 }
    }

    /// The table with only the first `count` seeds: what a smaller seed set would have given.
    #[must_use]
    pub fn first_seeds(&self, count: usize) -> Self {
        let mut table = self.clone();
        table.seeds.truncate(count);
        table.candidates.iter_mut().for_each(|candidate| candidate.scores.truncate(count));
        table
    }

    fn collect(
        store: &RowStore,
        seeds: &[SampleId],
        score: impl Fn(&RowShard) -> Result<Tensor, InfluenceError>,
    ) -> Result<Self, InfluenceError> {
        let mut table = Self { seeds: seeds.to_vec(), ..Self::default() };
        for shard in store.shards() {
            let shard = shard?;
            let scores = score(&shard)?.f_contiguous()?;
            let width = scores.size()[1] as usize;
            if width != seeds.len() {
                return Err(InfluenceError::Mismatch {
                    what: "score columns",
                    found: width.to_string(),
                    expected: seeds.len().to_string(),
                });
            }
            let flat = Vec::<f32>::try_from(scores.f_flatten(0, -1)?)?;
            let mut rows = flat.chunks_exact(width.max(1));
            for info in shard.infos {
                let scores = rows.next().unwrap_or_default().to_vec();
                // Finite gradients can still overflow against a seed.
                if scores.iter().all(|s| s.is_finite()) {
                    table.candidates.push(Candidate { info, scores });
                } else {
                    let reason = Reason::NonFinite;
                    table.skipped.push(Skipped { id: info.id, index: info.index, reason });
                }
            }
            table.skipped.extend(shard.skipped);
        }
        table.skipped.sort_by_key(|s| s.index);
        Ok(table)
    }
}
