//! The student: the model that is going to be trained, and whose scores decide.

use std::error::Error;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamis_dataset::{Reason, Sample};

/// What the student is asked about a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Instruction-following difficulty: how much the instruction helps with the answer.
    Ifd,
    /// Reversed IFD: how much the answer helps with the instruction.
    ReversedIfd,
    /// Perplexity of the answer given the instruction.
    Perplexity,
}

impl Measure {
    /// Whether a proposal of score `new` is better than what has `old`. Equal is not better.
    pub(crate) fn prefers(self, new: f64, old: f64) -> bool {
        match self {
            Self::Ifd => new > old,
            Self::ReversedIfd | Self::Perplexity => new < old,
        }
    }
}

/// Scores samples as the model that will be trained on them sees them.
pub trait Student {
    /// What decides its scores (model, tokenizer, template, …), for manifests.
    fn identity(&self) -> Value;

    /// One score for each sample, in their order, or why a sample has none. Scores are finite and
    /// above 0; a batch gives each sample the score that it would get alone.
    ///
    /// # Errors
    /// What stops the scoring of all samples, such as a model that cannot run.
    fn score(
        &mut self,
        measure: Measure,
        samples: &[Sample],
    ) -> Result<Vec<Result<f64, Reason>>, Box<dyn Error + Send + Sync>>;
}
