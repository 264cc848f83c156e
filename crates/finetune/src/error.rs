//! Everything that can go wrong while fine-tuning.

use tamis_dataset::{DatasetError, SampleId};
use tamis_model::ModelError;
use tch::{Kind, TchError};

/// Why fine-tuning did not start or did not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FinetuneError {
    /// A setting is outside its range.
    #[error("training parameter `{name}` is {found}, expected {expected}")]
    Parameter {
        /// The field of [`TrainParams`](crate::TrainParams) or [`AdamWParams`](crate::AdamWParams).
        name: &'static str,
        /// Its value.
        found: String,
        /// The values it may have.
        expected: &'static str,
    },
    /// There is nothing to train on.
    #[error("no samples to train on: the data is empty; check the filters that made it")]
    NoData,
    /// A sample cannot be trained on; found before the first step.
    #[error("sample {id} (row {index}) cannot be trained on: {reason}")]
    Sample {
        /// The sample.
        id: SampleId,
        /// Its row in the data file.
        index: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A weight is kept in a type that the optimizer cannot update precisely enough.
    #[error(
        "parameter `{name}` is kept as {kind:?}, expected Float or Double: updates far below one \
         unit in the last place would be lost; load the model in f32 to train it"
    )]
    Kind {
        /// The weight.
        name: String,
        /// What it is kept in.
        kind: Kind,
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
    /// The loss or a gradient is no longer a finite number.
    #[error(
        "training diverged at step {step} of {steps} (epoch {epoch}): {what} (loss {loss}); the \
         weights are those after step {}; lower the learning rate (it was {learning_rate:e}), \
         lengthen the warm-up, or look at the samples of this step", step - 1
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
        /// What is not finite.
        what: String,
    },
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
