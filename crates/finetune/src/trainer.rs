//! Training, seen from outside: what goes in, and what comes out.

use serde::{Deserialize, Serialize};
use tamis_artifact::Progress;
use tamis_dataset::{Encodings, Skipped};
use tamis_model::CausalLm;

use crate::session::Session;
use crate::{Checkpoints, EvalParams, EvalRecord, FinetuneError, Lora, TrainParams};

/// Trains a model; made by [`TrainParams::check`].
#[derive(Clone, Debug)]
pub struct FineTuner {
    params: TrainParams,
}

/// What is trained on what; see [`FineTuner::run`].
pub struct Job<'a> {
    /// The model.
    pub model: &'a mut dyn CausalLm,
    /// The adapter to train while the model's weights stay as they are; none trains all weights.
    pub lora: Option<&'a mut Lora>,
    /// The samples, read as they are needed.
    pub data: &'a Encodings<'a>,
    /// Held-out samples, and when to evaluate on them.
    pub validation: Option<(&'a Encodings<'a>, EvalParams)>,
    /// Where checkpoints are kept. The run goes on from the newest one there.
    pub checkpoints: Option<&'a mut Checkpoints>,
}

impl std::fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("model", &self.model.shape())
            .field("lora", &self.lora.as_ref().map(|lora| lora.params()))
            .field("data", &self.data.len())
            .field("validation", &self.validation.as_ref().map(|(data, how)| (data.len(), how)))
            .field("checkpoints", &self.checkpoints.as_ref().map(|checkpoints| checkpoints.dir()))
            .finish()
    }
}

impl<'a> Job<'a> {
    /// All weights of `model` on `data`, and nothing else.
    pub fn new(model: &'a mut dyn CausalLm, data: &'a Encodings<'a>) -> Self {
        Self { model, lora: None, data, validation: None, checkpoints: None }
    }

    /// The same job for as long as this is borrowed.
    fn reborrow(&mut self) -> Job<'_> {
        Job {
            model: &mut *self.model,
            lora: self.lora.as_deref_mut(),
            data: self.data,
            validation: self.validation,
            checkpoints: self.checkpoints.as_deref_mut(),
        }
    }
}

/// What a whole run did, the sessions before an interruption included.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainReport {
    /// Optimizer steps.
    pub steps: usize,
    /// Real tokens seen, prompts included, over all epochs.
    pub tokens: usize,
    /// Supervised tokens predicted, over all epochs.
    pub targets: usize,
    /// One entry per finished epoch.
    pub epochs: Vec<EpochRecord>,
    /// Loss of every step, in nats per supervised token.
    pub losses: Vec<f64>,
    /// Every evaluation on held-out data.
    pub evaluations: Vec<EvalRecord>,
    /// The step whose weights the model has now, if it is not the last: that of the lowest
    /// evaluation.
    pub restored: Option<usize>,
    /// Whether training ended because evaluations did not improve any more.
    pub stopped_early: bool,
    /// The step of the checkpoint that this session went on from.
    pub resumed: Option<usize>,
    /// Wall-clock time of all sessions.
    pub seconds: f64,
    /// Rows that could not be trained on, and why.
    pub skipped: Vec<Skipped>,
    /// Held-out rows that could not be evaluated on, and why.
    pub held_out_skipped: Vec<Skipped>,
}

/// What one epoch did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Mean negative log-likelihood over the supervised tokens of the epoch, in nats per token,
    /// each taken before the update its step made.
    pub loss: f64,
    /// Optimizer steps.
    pub steps: usize,
    /// Wall-clock time of these.
    pub seconds: f64,
    /// Mean learning rate of its steps. None in the records of checkpoints that were written before
    /// it was kept.
    #[serde(default)]
    pub learning_rate: Option<f64>,
}

impl FineTuner {
    pub(crate) fn new(params: TrainParams) -> Self {
        Self { params }
    }

    /// The checked settings.
    pub fn params(&self) -> &TrainParams {
        &self.params
    }

    /// Optimizer steps that [`run`](FineTuner::run) takes on `samples` samples, unless it stops early.
    pub fn steps(&self, samples: usize) -> usize {
        samples.div_ceil(self.params.batch_size) * self.params.epochs
    }

    /// Fine-tunes every weight of `model` on the supervised tokens of `data`: a [`Job`] without
    /// anything else.
    ///
    /// # Errors
    /// Those of [`run`](FineTuner::run).
    pub fn train(
        &self,
        model: &mut dyn CausalLm,
        data: &Encodings<'_>,
        progress: &mut dyn Progress,
    ) -> Result<TrainReport, FinetuneError> {
        self.run(Job::new(model, data), progress)
    }

    /// Fine-tunes what the job names on the supervised tokens of its data.
    ///
    /// One pass over the data finds the rows that can be used; the others are named in the report. Of
    /// each row its position and length are held, and tokens only of the rows of the next few steps.
    ///
    /// Each epoch visits the usable samples in the order [`epoch_order`](crate::epoch_order) gives;
    /// `batch_size` consecutive ones make an optimizer step, the last of an epoch being smaller
    /// when they do not divide evenly. The loss of a step is the mean over its supervised tokens,
    /// however they are split into forward passes. When this returns, with or without an error,
    /// the weights are frozen and gradients and moments are gone.
    ///
    /// With [`Checkpoints`] the run goes on from the newest one, and ends with the weights, bit for
    /// bit, that it would have had without the interruption (on the same machine, and from the same
    /// starting weights, which the model must have again).
    ///
    /// # Errors
    /// Before anything is changed: no data, no row that can be used, tokens that are not the
    /// model's, weights in f16, a checkpoint of another run or a damaged one. Later: [`FinetuneError::Diverged`],
    /// which leaves the weights of the last good step, a checkpoint that cannot be written, or what
    /// model and LibTorch report.
    pub fn run(
        &self,
        mut job: Job<'_>,
        progress: &mut dyn Progress,
    ) -> Result<TrainReport, FinetuneError> {
        Session::begin(&self.params, job.reborrow(), progress)?.run()
    }
}
