//! The one error of this crate.

use std::path::PathBuf;

use tamis_artifact::{ArtifactError, ParameterError};
use tamis_dataset::SampleId;
use tamis_finetune::FinetuneError;
use tamis_gradients::GradientError;
use tamis_model::ModelError;
use tamis_selection::targets::TargetError;

/// Why features or scores could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LessError {
    /// LibTorch refused an operation.
    #[error("LibTorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The model could not be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A checkpoint of the warm-up could not be read.
    #[error(transparent)]
    Finetune(#[from] FinetuneError),
    /// Gradients could not be taken, stored or read.
    #[error(transparent)]
    Gradient(#[from] GradientError),
    /// A stored artefact does not belong here.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// `LessScores` that do not fit together.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A parameter is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A checkpoint that does not say how much it counts.
    #[error(
        "{} holds no mean learning rate of a finished epoch, by which its scores would be weighted; \
         use checkpoints written at the ends of epochs", dir.display()
    )]
    NoRate {
        /// Folder of the checkpoint.
        dir: PathBuf,
    },
    /// A target example has no direction to compare with.
    #[error("target {id} (row {index}) of task {task} cannot be used: {reason}")]
    Example {
        /// The example.
        id: SampleId,
        /// Its [`Encoded::index`](tamis_dataset::Encoded::index).
        index: usize,
        /// The task it belongs to.
        task: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A task without examples.
    #[error("task {task} has no example to compare with")]
    EmptyTask {
        /// The task.
        task: String,
    },
}
