//! What a caller can choose about selecting.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::select::{Bound, Quota};
use crate::{IfdError, Measure, ScoreSelector};

/// Products such as 0.29 · 100 fall a little below the whole number that is meant.
const ROUNDING: f64 = 1e-9;

/// What a share is a share of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Base {
    /// All candidates, those without a score included.
    #[default]
    All,
    /// Those that have scores within all bounds.
    Survivors,
}

/// How many are taken, at most; never more than survive the bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// All that survive: selection by threshold alone.
    #[default]
    Survivors,
    /// This many; 0 takes none.
    Count(usize),
    /// This share of the base, from 0 to 1, rounded down.
    Share {
        /// The share.
        share: f64,
        /// What it is a share of.
        base: Base,
    },
}

impl Take {
    /// Rows to take of `all` candidates, of which `survivors` are within the bounds.
    pub(crate) fn of(self, all: usize, survivors: usize) -> usize {
        match self {
            Self::Survivors => survivors,
            Self::Count(count) => count,
            Self::Share { share, base } => {
                let base = if base == Base::All { all } else { survivors };
                (share * base as f64 + ROUNDING).floor() as usize
            }
        }
    }
}

/// Which end of the ranking is taken first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// High scores, as for IFD: there the model has most to learn.
    #[default]
    HighestFirst,
    /// Low scores, as for r-IFD or perplexity.
    LowestFirst,
}

/// Which candidates are chosen: those within all bounds, the best first, as many as are to be
/// taken and as the groups are promised. Equal scores come in the order of the pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SelectParams {
    /// The score they are ranked by.
    pub rank: Measure,
    /// Which end of the ranking comes first.
    pub order: Order,
    /// Bounds that every one must keep; a candidate without the score keeps none.
    pub bounds: Vec<Bound>,
    /// How many are taken.
    pub take: Take,
    /// What the groups are promised.
    pub quota: Quota,
}

impl Default for SelectParams {
    fn default() -> Self {
        Self {
            rank: Measure::Ifd,
            order: Order::default(),
            bounds: Vec::new(),
            take: Take::default(),
            quota: Quota::default(),
        }
    }
}

impl SelectParams {
    /// Refuses a share outside 0 to 1 and bounds that are not finite.
    ///
    /// # Errors
    /// [`IfdError::Parameter`] with the value.
    pub fn check(self) -> Result<ScoreSelector, IfdError> {
        if let Take::Share { share, .. } = self.take
            && !(0.0..=1.0).contains(&share)
        {
            return Err(ParameterError::new("share", share, "between 0 and 1").into());
        }
        self.bounds.iter().try_for_each(Bound::check)?;
        Ok(ScoreSelector { params: self })
    }
}
