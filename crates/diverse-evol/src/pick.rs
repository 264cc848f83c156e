//! Choosing the records of a round.

use tamis_clustering::{ClusteringError, KMeansParams, Resample, Within};
use tamis_dataset::SampleId;
use tamis_kcenter::{KCenterError, KCenterParams};
use tamis_selection::vectors::Subset;

use crate::{EvolError, Need, Strategy, Uncertainty, View};
use tamis_kcenter::Metric;
use tamis_selection::vectors::{Vectors, VectorsError};

/// A chosen record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) index: usize,
    /// k-center: its distance from the nearest record chosen before it.
    pub(crate) radius: Option<f64>,
    /// k-means: its distance from its cluster's centre. Uncertainty: its value.
    pub(crate) score: Option<f64>,
}

/// Chosen records in the order of their choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Choices {
    pub(crate) picks: Vec<Choice>,
    /// Greatest distance of any record from the nearest chosen one before these were added; only
    /// k-center strategies know it.
    pub(crate) radius_before: Option<f64>,
    /// The same after they were added.
    pub(crate) radius_after: Option<f64>,
}

/// What is chosen from.
pub(crate) struct Picking<'a> {
    pub(crate) ids: &'a [SampleId],
    /// Numbers of those chosen already.
    pub(crate) chosen: &'a [usize],
    /// How many more.
    pub(crate) count: usize,
    pub(crate) metric: Metric,
    /// Seed of this round.
    pub(crate) seed: u64,
}

impl Picking<'_> {
    /// Chooses with what is seen of all records; of equally good ones the first in the pool.
    pub(crate) fn with<R: Vectors>(
        &self,
        strategy: Strategy,
        view: &View<R>,
    ) -> Result<Choices, EvolError> {
        let found = match view {
            View::Embeddings(rows) => rows.len(),
            View::Uncertainty(values) => values.len(),
        };
        if found != self.ids.len() {
            return Err(EvolError::ViewLength { found, expected: self.ids.len() });
        }
        match (strategy.need(), view) {
            (None, _) => self.random(),
            (Some(Need::Uncertainty(kind)), View::Uncertainty(values)) => {
                self.uncertain(kind, values)
            }
            (Some(Need::Embeddings), View::Embeddings(rows)) => match strategy {
                Strategy::KMeans => self.nearest_to_centres(rows),
                _ => self.farthest(rows),
            },
            (Some(need), _) => Err(EvolError::ViewKind { need }),
        }
    }

    /// Numbers of the records that are not chosen, ascending.
    fn left(&self) -> Vec<usize> {
        let mut taken = vec![false; self.ids.len()];
        for &index in self.chosen {
            taken[index] = true;
        }
        (0..taken.len()).filter(|&index| !taken[index]).collect()
    }

    /// Every set of records is equally likely.
    pub(crate) fn random(&self) -> Result<Choices, EvolError> {
        let left = self.left();
        let resample = Resample { budget: self.count, within: Within::Random, seed: self.seed };
        // One cluster: a plain draw.
        let drawn = resample.draw(&vec![0; left.len()], None, None)?;
        let pick = |place: usize| Choice { index: left[place], radius: None, score: None };
        Ok(Choices { picks: drawn.into_iter().map(pick).collect(), ..Choices::default() })
    }

    fn uncertain(&self, kind: Uncertainty, values: &[f64]) -> Result<Choices, EvolError> {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let problem = format!("its {kind} is {}", values[index]);
            return Err(self.bad(index, problem));
        }
        let mut left = self.left();
        let sign = if kind.lowest_first() { 1.0 } else { -1.0 };
        // Stable, and the candidates ascend. Adding zero makes -0.0 equal to 0.0.
        let key = |index: usize| sign * values[index] + 0.0;
        left.sort_by(|&a, &b| key(a).total_cmp(&key(b)));
        let pick = |&index: &usize| Choice { index, radius: None, score: Some(values[index]) };
        Ok(Choices {
            picks: left.iter().take(self.count).map(pick).collect(),
            ..Choices::default()
        })
    }

    fn farthest<R: Vectors>(&self, rows: &R) -> Result<Choices, EvolError> {
        let kcenter = KCenterParams { budget: self.count, metric: self.metric }.check()?;
        let found = kcenter.pick(rows, self.chosen).map_err(|error| match error {
            KCenterError::NonFinite { row, column, value } => {
                self.bad(row, format!("its embedding holds {value} in column {column}"))
            }
            KCenterError::TooLong { row, norm, limit } => {
                self.bad(row, format!("its embedding has length {norm:e}, more than {limit:e}"))
            }
            error => error.into(),
        })?;
        let picks: Vec<Choice> = found
            .picks
            .iter()
            .map(|pick| Choice { index: pick.index, radius: pick.radius, score: None })
            .collect();
        Ok(Choices {
            // The farthest record is the first one to be picked.
            radius_before: picks.first().and_then(|first| first.radius),
            radius_after: found.coverage.last().copied(),
            picks,
        })
    }

    fn nearest_to_centres<R: Vectors>(&self, rows: &R) -> Result<Choices, EvolError> {
        let left = self.left();
        let points = Subset::new(rows, &left)
            .map_err(|error| ClusteringError::from(VectorsError::new(error)))?;
        let metric = match self.metric {
            Metric::Euclidean => tamis_clustering::Metric::Euclidean,
            Metric::Cosine => tamis_clustering::Metric::Cosine,
        };
        let kmeans =
            KMeansParams { k: self.count, metric, seed: self.seed, ..KMeansParams::default() };
        let fit = kmeans.check()?.fit(&points).map_err(|error| match error {
            ClusteringError::NonFinite { row, column, value, .. } => {
                self.bad(left[row], format!("its embedding holds {value} in column {column}"))
            }
            ClusteringError::TooLong { row, norm, limit, .. } => self
                .bad(left[row], format!("its embedding has length {norm:e}, more than {limit:e}")),
            ClusteringError::ZeroRow { row, .. } => {
                self.bad(left[row], "its embedding is zero and has no direction".to_owned())
            }
            error => error.into(),
        })?;
        // One of every cluster; where duplicates leave clusters empty, others give a second one.
        let resample = Resample { budget: self.count, within: Within::Nearest, seed: self.seed };
        let drawn = resample.draw(&fit.labels, None, Some(&fit.distances))?;
        let pick = |place: usize| Choice {
            index: left[place],
            radius: None,
            score: Some(f64::from(fit.distances[place])),
        };
        Ok(Choices { picks: drawn.into_iter().map(pick).collect(), ..Choices::default() })
    }

    fn bad(&self, index: usize, problem: String) -> EvolError {
        EvolError::Record { id: self.ids[index].clone(), index, problem }
    }
}
