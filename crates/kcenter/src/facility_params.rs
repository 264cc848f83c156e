//! Settings of facility location and of QDIT.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::named::named;
use crate::params::check_budget;
use crate::{FacilityLocation, KCenterError, Qdit};

/// How alike two rows are, from 0 to 1.
///
/// A row of zeros is like other rows of zeros (cosine 1) and unlike everything else (cosine 0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Similarity {
    /// The cosine of the angle; 0 where it is negative.
    #[default]
    Cosine,
    /// Half of one plus the cosine, so that opposite rows count less than rows at right angles.
    ShiftedCosine,
}

impl Similarity {
    const ALL: [Self; 2] = [Self::Cosine, Self::ShiftedCosine];

    const fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::ShiftedCosine => "shifted-cosine",
        }
    }

    /// The cosine at which a similarity is 0, and what one of cosine is worth.
    pub(crate) const fn line(self) -> (f64, f64) {
        match self {
            Self::Cosine => (0.0, 1.0),
            Self::ShiftedCosine => (-1.0, 0.5),
        }
    }

    /// The similarity that a cosine stands for.
    pub fn of_cosine(self, cosine: f64) -> f64 {
        let (zero, slope) = self.line();
        (slope * (cosine - zero)).clamp(0.0, 1.0)
    }
}

impl fmt::Display for Similarity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Similarity {
    type Err = KCenterError;

    fn from_str(word: &str) -> Result<Self, KCenterError> {
        named("similarity", word, Self::ALL, Self::name)
    }
}

/// Settings of facility location, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FacilityParams {
    /// How many rows to pick, beside the initial ones.
    pub budget: usize,
    /// How alike two rows are.
    pub similarity: Similarity,
}

impl Default for FacilityParams {
    /// 100 rows, cosine.
    fn default() -> Self {
        Self { budget: 100, similarity: Similarity::Cosine }
    }
}

impl FacilityParams {
    /// The algorithm with these settings.
    ///
    /// # Errors
    /// [`KCenterError::Parameter`] if the budget is 0.
    pub fn check(self) -> Result<FacilityLocation, KCenterError> {
        check_budget(self.budget)?;
        Ok(FacilityLocation::of(self))
    }
}

/// Settings of QDIT, to be [checked](Self::check).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QditParams {
    /// How many rows to pick, beside the initial ones.
    pub budget: usize,
    /// How alike two rows are.
    pub similarity: Similarity,
    /// Weight of the quality, from 0 (diversity only) to 1 (quality only).
    pub alpha: f64,
}

impl Default for QditParams {
    /// 100 rows, cosine, α = 0.7: in the middle of what did best in the paper.
    fn default() -> Self {
        Self { budget: 100, similarity: Similarity::Cosine, alpha: 0.7 }
    }
}

impl QditParams {
    /// The algorithm with these settings.
    ///
    /// # Errors
    /// [`KCenterError::Parameter`] if the budget is 0 or `alpha` is not in 0 to 1.
    pub fn check(self) -> Result<Qdit, KCenterError> {
        check_budget(self.budget)?;
        ParameterError::within("alpha", self.alpha, 0.0..=1.0)?;
        Ok(Qdit::of(self))
    }
}
