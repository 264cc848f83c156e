//! An exact number of rows, drawn evenly over the clusters.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::Random;

use crate::ClusteringError;
use crate::params::named;

/// Which rows of a cluster go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Within {
    /// In a seeded random order.
    #[default]
    Random,
    /// Those with the highest scores.
    BestScore,
    /// Those with the shortest distance to the centre.
    Nearest,
}

impl Within {
    const ALL: [Self; 3] = [Self::Random, Self::BestScore, Self::Nearest];

    const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::BestScore => "best-score",
            Self::Nearest => "nearest",
        }
    }
}

impl fmt::Display for Within {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Within {
    type Err = ClusteringError;

    fn from_str(word: &str) -> Result<Self, ClusteringError> {
        named("rule within a cluster", word, Self::ALL, Self::name)
    }
}

/// Draws a budget evenly over clusters.
///
/// In every round each cluster that has rows left gives one, the clusters in a new seeded random order,
/// until the budget is full. So the numbers drawn from two clusters differ by more than one only if the
/// smaller of them has no rows left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resample {
    /// How many rows to draw.
    pub budget: usize,
    /// Which rows of a cluster go first.
    pub within: Within,
    /// Seed of everything random.
    pub seed: u64,
}

impl Resample {
    /// Rows in the order in which they are drawn: numbers into `labels`, each at most once, exactly as
    /// many as the budget. A smaller budget draws a beginning of the same list.
    ///
    /// `labels` are the clusters of the rows, any numbers. `scores` (higher is better) are needed by
    /// [`Within::BestScore`], `distances` by [`Within::Nearest`]; of equal ones the lower row goes
    /// first. What is not needed may be given and is not looked at.
    ///
    /// # Errors
    /// A budget above the number of rows; scores or distances that are missing, of another number than
    /// the labels, or not finite.
    pub fn draw(
        &self,
        labels: &[usize],
        scores: Option<&[f64]>,
        distances: Option<&[f32]>,
    ) -> Result<Vec<usize>, ClusteringError> {
        if self.budget > labels.len() {
            return Err(ClusteringError::Budget { budget: self.budget, rows: labels.len() });
        }
        let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (row, &label) in labels.iter().enumerate() {
            clusters.entry(label).or_default().push(row);
        }
        match self.within {
            Within::Random => {
                for (&label, members) in &mut clusters {
                    Random::keyed(self.seed, "rows of a cluster", &label.to_string())
                        .shuffle(members);
                }
            }
            Within::BestScore => {
                let ranks = self.ranks("scores", scores, labels.len(), |score| -score)?;
                sort_by_rank(&mut clusters, &ranks);
            }
            Within::Nearest => {
                let ranks = self.ranks("distances", distances, labels.len(), f64::from)?;
                sort_by_rank(&mut clusters, &ranks);
            }
        }
        Ok(self.rounds(clusters.into_values().collect()))
    }

    fn rounds(&self, clusters: Vec<Vec<usize>>) -> Vec<usize> {
        let mut random = Random::keyed(self.seed, "order of clusters", "");
        let mut left: Vec<_> = clusters.into_iter().map(Vec::into_iter).collect();
        let mut drawn = Vec::with_capacity(self.budget);
        while drawn.len() < self.budget {
            random.shuffle(&mut left);
            let open = self.budget - drawn.len();
            drawn.extend(left.iter_mut().filter_map(Iterator::next).take(open));
            left.retain(|rows| rows.len() > 0);
        }
        drawn
    }

    /// Checked numbers to sort rows by, the lowest first.
    fn ranks<T: Copy + Into<f64>>(
        &self,
        what: &'static str,
        values: Option<&[T]>,
        expected: usize,
        rank: fn(T) -> f64,
    ) -> Result<Vec<f64>, ClusteringError> {
        let values = values.ok_or(ClusteringError::Missing { within: self.within, what })?;
        if values.len() != expected {
            return Err(ClusteringError::Length { what, found: values.len(), expected });
        }
        for (row, &value) in values.iter().enumerate() {
            let value: f64 = value.into();
            if !value.is_finite() {
                return Err(ClusteringError::Unranked { what, row, value });
            }
        }
        Ok(values.iter().map(|&value| rank(value)).collect())
    }
}

fn sort_by_rank(clusters: &mut BTreeMap<usize, Vec<usize>>, ranks: &[f64]) {
    for members in clusters.values_mut() {
        // Stable, and the members ascend: of equal ranks the lower row stays first. Adding zero makes
        // -0.0 equal to 0.0.
        members.sort_by(|&a, &b| (ranks[a] + 0.0).total_cmp(&(ranks[b] + 0.0)));
    }
}
