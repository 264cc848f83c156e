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
}
