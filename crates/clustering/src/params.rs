//! Settings of k-means.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::{ClusteringError, KMeans};

/// What "near" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Straight-line distance; k-means lowers the sum of its squares.
    #[default]
    Euclidean,
    /// One minus the cosine of the angle. Rows and centroids are scaled to length one (spherical
    /// k-means), so only directions count; k-means lowers the sum of the distances.
    Cosine,
}

impl Metric {
    const ALL: [Self; 2] = [Self::Euclidean, Self::Cosine];

    const fn name(self) -> &'static str {
        match self {
            Self::Euclidean => "euclidean",
            Self::Cosine => "cosine",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = ClusteringError;

    fn from_str(word: &str) -> Result<Self, ClusteringError> {
        named("metric", word, Self::ALL, Self::name)
    }
}

/// The variant of this name, or an error that lists them all.
pub(crate) fn named<T: Copy, const N: usize>(
    what: &'static str,
    word: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, ClusteringError> {
    all.into_iter().find(|&variant| name(variant) == word).ok_or_else(|| ClusteringError::Unknown {
        what,
        found: word.to_owned(),
        expected: all.map(name).join(", "),
    })
}

/// Settings of k-means, to be [checked](Self::check).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KMeansParams {
    /// Number of clusters.
    pub k: usize,
    /// What "near" means.
    pub metric: Metric,
    /// How often to begin anew from other rows; the result with the lowest inertia is kept.
    pub n_init: usize,
    /// Most iterations of one run.
    pub max_iter: usize,
    /// A run also ends when the squared movements of all centroids sum up to at most this times the
    /// mean variance of a column. With 0 it ends only when no label changes.
    pub tolerance: f64,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for KMeansParams {
    /// 8 clusters, Euclidean, one start, at most 300 iterations, tolerance 1e-4, seed 0.
    fn default() -> Self {
        Self { k: 8, metric: Metric::Euclidean, n_init: 1, max_iter: 300, tolerance: 1e-4, seed: 0 }
    }
}

impl KMeansParams {
    /// The algorithm with these settings.
    ///
    /// # Errors
    /// [`ClusteringError::Parameter`] if `k`, `n_init` or `max_iter` is 0, or `tolerance` is negative
    /// or not finite.
    pub fn check(self) -> Result<KMeans, ClusteringError> {
        for (name, value) in [("k", self.k), ("n_init", self.n_init), ("max_iter", self.max_iter)] {
            ParameterError::at_least(name, value, 1)?;
        }
        ParameterError::finite_from("tolerance", self.tolerance, 0.0)?;
        Ok(KMeans::of(self))
    }
}
