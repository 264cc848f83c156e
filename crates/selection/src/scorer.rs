//! What scores samples.

use serde::{Deserialize, Serialize};
use tamis_artifact::Fingerprint;
use tamis_dataset::{Reason, Sample};

/// Any error; what a [`Scorer`] of any crate may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A score, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// The score.
    Value(f64),
    /// There is none, for this reason.
    Missing(Reason),
}

impl Score {
    /// The score, if there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Missing(_) => None,
        }
    }

    /// Why there is none.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Value(_) => None,
            Self::Missing(reason) => Some(reason),
        }
    }
}

impl From<Result<f64, Reason>> for Score {
    fn from(result: Result<f64, Reason>) -> Self {
        result.map_or_else(Self::Missing, Self::Value)
    }
}

/// The scores of one row: one for each column of its scorer.
pub type RowScores = Vec<Score>;

/// Scores samples: by their words, by a model, by a file of numbers. One scorer may give several scores in one pass.
pub trait Scorer {
    /// Names of its scores, at least one and no two alike.
    fn columns(&self) -> Vec<String>;

    /// Everything that decides the numbers, beside the samples: settings, fingerprints of models, hashes of files.
    ///
    /// # Errors
    /// As the scorer has it; a model that cannot be read, say.
    fn fingerprint(&self) -> Result<Fingerprint, BoxError>;

    /// The scores of each sample, in their order: one for each column. They depend on that sample alone, as a stage cuts
    /// its rows into shards.
    ///
    /// # Errors
    /// What keeps all samples from being scored. A single one that cannot be scored is [`Score::Missing`].
    fn score(&self, rows: &[Sample]) -> Result<Vec<RowScores>, BoxError>;
}
