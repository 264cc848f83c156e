//! The one error of this crate.

use tamis_artifact::{ArtifactError, ParameterError};
use tamis_dataset::{DatasetError, SampleId};
use tamis_model::ModelError;

/// Why scoring or selecting could not go on. A sample that cannot be scored is no error: it gets a
/// [`Reason`](tamis_dataset::Reason).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IfdError {
    /// LibTorch refused an operation.
    #[error("LibTorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The model could not be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data could not be read, or are not what the template is for.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Stored scores could not be written, read, or belong to another run.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A parameter is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A chat template that cannot write a conversation at all.
    #[error(
        "the tokenizer's chat template cannot write even one question and one answer: {reason}; \
         choose another template"
    )]
    ChatTemplate {
        /// What is wrong.
        reason: String,
    },
    /// A translation row cannot be put into words without the language it is translated into.
    #[error(
        "sample `{id}` (row {index}) is a translation; name the language it is translated into \
         (`ScoreParams::target_language`)"
    )]
    TargetLanguage {
        /// The sample.
        id: SampleId,
        /// Its 0-based row.
        index: usize,
    },
    /// A candidate carries a score that cannot be ranked.
    #[error("candidate `{id}` (row {index}) has {measure} {value}, which is not a finite number")]
    NotFinite {
        /// The candidate.
        id: SampleId,
        /// Its 0-based row.
        index: usize,
        /// Which score.
        measure: &'static str,
        /// Its value.
        value: f64,
    },
    /// A selection by a measure that no candidate was scored for.
    #[error("candidates are selected by {measure}, which was not asked for when they were scored")]
    NotMeasured {
        /// Which measure.
        measure: &'static str,
    },
    /// The rows promised to groups are more than are to be chosen at all.
    #[error(
        "the groups are promised {promised} rows together, but only {budget} are to be chosen; \
         choose more rows, or promise fewer"
    )]
    Quota {
        /// Rows promised, as far as the groups have them.
        promised: usize,
        /// Rows to choose.
        budget: usize,
    },
    /// A quota names a group that no candidate belongs to.
    #[error("there is no candidate of group `{group}`; the groups are {known}")]
    UnknownGroup {
        /// The group.
        group: String,
        /// Groups that there are.
        known: String,
    },
}
