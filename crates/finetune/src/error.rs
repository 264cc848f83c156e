//! Everything that can go wrong while fine-tuning.

use std::io;
use std::path::{Path, PathBuf};

use tamis_artifact::{ArtifactError, Differences, ParameterError};
use tamis_dataset::{DatasetError, SampleId, Skipped};
use tamis_model::ModelError;
use tch::{Kind, TchError};

/// Why fine-tuning did not start or did not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinetuneError {
    /// A setting is outside its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// There is nothing to train on.
    #[error("no samples to train on: the data is empty; check the filters that made it")]
    NoData,
    /// A sample has tokens that are not this model's, or has changed while training read it.
    #[error("sample {id} (row {index}) cannot be trained on: {reason}")]
    Sample {
        /// The sample.
        id: SampleId,
        /// Its position in the data.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// None of the rows can be trained on.
    #[error(
        "none of the {rows} rows can be trained on; the first, {} (row {}): {}",
        first.id, first.index, first.reason
    )]
    NothingUsable {
        /// How many rows there are.
        rows: usize,
        /// The first of them, with its reason.
        first: Skipped,
    },
    /// More than four bytes can count.
    #[error("{count} {what}, at most {} can be trained on", u32::MAX)]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
    },
    /// A weight is kept in a type that the optimizer cannot update precisely enough.
    #[error(
        "parameter `{name}` is kept as {kind:?}, expected Float or Double: updates far below one \
         unit in the last place would be lost"
    )]
    Kind {
        /// The weight.
        name: String,
        /// What it is kept in.
        kind: Kind,
    },
    /// The model is in a type that gradients do not fit into.
    #[error(
        "the model is loaded as {kind:?}, expected Float, BFloat16 or Double: gradients of that \
         type underflow unless the loss is scaled, which is not done here; load the model in bf16"
    )]
    HalfPrecision {
        /// What the weights are kept in.
        kind: Kind,
    },
    /// A layer that cannot carry an adapter of its own.
    #[error("layer `{layer}` cannot carry an adapter: {reason}; choose a pattern that spares it")]
    Adapter {
        /// The layer.
        layer: String,
        /// Why.
        reason: &'static str,
    },
    /// A weight takes no part in the loss.
    #[error(
        "parameter `{name}` got no gradient: the model's forward pass does not use it (a model \
         whose weights are copied or cached at load time cannot be trained)"
    )]
    NoGradient {
        /// The weight.
        name: String,
    },
    /// The optimizer was made for other parameters than it is asked to update.
    #[error("the optimizer holds moments for {expected}, but was given {found}")]
    Mismatch {
        /// What it was made for.
        expected: String,
        /// What it got.
        found: String,
    },
    /// An adapter does not fit a model.
    #[error("the adapter of layer `{layer}` is for a weight of shape {expected:?}, {found}")]
    OtherModel {
        /// The layer.
        layer: String,
        /// The shape of the weight that the adapter can be added to.
        expected: [i64; 2],
        /// What the model has.
        found: String,
    },
    /// The loss, a gradient or a weight is no longer a finite number, or the loss is far too large.
    #[error(
        "training diverged at step {step} of {steps} (epoch {epoch}): {what} (loss {loss}); the \
         weights are those after step {weights}; lower the learning rate (it was {learning_rate:e}), \
         lengthen the warm-up, or look at the samples of this step{}",
        checkpoint.as_ref().map_or(String::new(), |path| format!(
            "; the last good checkpoint is {}", path.display()
        ))
    )]
    Diverged {
        /// The step, from 1, over all epochs.
        step: usize,
        /// Number of steps of the whole run.
        steps: usize,
        /// The epoch, from 1.
        epoch: usize,
        /// The loss of the step.
        loss: f64,
        /// The learning rate of the step.
        learning_rate: f64,
        /// What is not finite, or too large.
        what: String,
        /// The step after which the model had the weights that it has now. The step before this
        /// one, unless the weights themselves show the fault.
        weights: usize,
        /// The newest checkpoint whose weights are known to be good, where checkpoints are kept.
        checkpoint: Option<PathBuf>,
    },
    /// The system refused something about a file.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file that should hold JSON does not.
    #[error("{}: not valid JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// A file holds something that cannot be used.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        problem: String,
    },
    /// A file is not what was written.
    #[error(
        "{} is damaged: {problem}; restore it, or delete its folder to go on from an earlier \
         checkpoint or from the beginning", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How it shows.
        problem: String,
    },
    /// A checkpoint belongs to another run than the one that would go on from it.
    #[error(
        "checkpoint {} belongs to another run: {differences}; use the settings and files it was \
         made with, choose another folder, or delete it to begin anew", dir.display()
    )]
    OtherRun {
        /// The checkpoint.
        dir: PathBuf,
        /// Every field that differs.
        differences: Differences,
    },
    /// Another process keeps its checkpoints in the same folder.
    #[error("{} is in use by another training run; wait for it or choose another folder", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// A small file could not be written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The model refused a batch.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The batches could not be planned.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// LibTorch reported an error.
    #[error("LibTorch: {0}")]
    Torch(#[from] TchError),
}

impl FinetuneError {
    /// For `map_err`: an [`FinetuneError::Io`] about `path`.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { action, path, source }
    }
}
