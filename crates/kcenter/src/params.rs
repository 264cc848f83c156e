//! Settings of greedy k-center.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::named::named;
use crate::{KCenter, KCenterError};

/// What "far" means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// Straight-line distance.
    #[default]
    Euclidean,
    /// One minus the cosine of the angle, from 0 to 2. A row of zeros has no direction: it is 1 away from
    /// every other row, and 0 from other rows of zeros.
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

    /// The distance that half a squared distance of the points worked in stands for.
    ///
    /// For unit vectors ½|x − c|² is one minus the cosine already.
    pub(crate) fn distance(self, half_square: f64) -> f64 {
        match self {
            Self::Euclidean => (2.0 * half_square).sqrt(),
            Self::Cosine => half_square,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = KCenterError;

    fn from_str(word: &str) -> Result<Self, KCenterError> {
        named("metric", word, Self::ALL, Self::name)
    }
}

/// Settings of greedy k-center, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KCenterParams {
    /// How many rows to pick, beside the initial ones.
    pub budget: usize,
    /// What "far" means.
    pub metric: Metric,
}

impl Default for KCenterParams {
    /// 100 rows, as each round of `DiverseEvol` takes; Euclidean.
    fn default() -> Self {
        Self { budget: 100, metric: Metric::Euclidean }
    }
}

impl KCenterParams {
    /// The algorithm with these settings.
    ///
    /// # Errors
    /// [`KCenterError::Parameter`] if the budget is 0.
    pub fn check(self) -> Result<KCenter, KCenterError> {
        check_budget(self.budget)?;
        Ok(KCenter::of(self))
    }
}

pub(crate) fn check_budget(budget: usize) -> Result<(), KCenterError> {
    Ok(ParameterError::at_least("budget", budget, 1)?)
}
