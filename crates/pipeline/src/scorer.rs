//! What scores samples.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tamis_dataset::Sample;

/// Any error; what a [`Scorer`] of any crate may fail with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A score, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Score {
    /// The score.
    Value(f64),
    /// There is none, for this reason, in a few words.
    Missing(String),
}

impl Score {
    /// The score, if there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Missing(_) => None,
        }
    }
}

/// Scores samples: by their words, by a model, by a file of numbers.
pub trait Scorer {
    /// Its name in progress bars, reasons and the stage's folder.
    fn name(&self) -> &str;

    /// Everything that decides the numbers, beside the samples: settings, fingerprints of models, hashes of files.
    ///
    /// # Errors
    /// As the scorer has it; a model that cannot be read, say.
    fn description(&self) -> Result<Map<String, Value>, BoxError>;

    /// One score for each sample, in their order. A sample's score depends on that sample alone: a stage cuts its rows
    /// into shards.
    ///
    /// # Errors
    /// What keeps all samples from being scored. A single one that cannot be scored is [`Score::Missing`].
    fn score(&self, samples: &[Sample]) -> Result<Vec<Score>, BoxError>;
}
