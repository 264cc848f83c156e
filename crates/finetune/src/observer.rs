//! What a training run tells while it goes on.

use std::ops::Deref;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tamis_artifact::{Progress, Stage};

/// What happened in one optimizer step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step, from 1, over all epochs.
    pub step: usize,
    /// Number of steps of the whole run.
    pub steps: usize,
    /// The epoch, from 1.
    pub epoch: usize,
    /// Mean negative log-likelihood of the supervised tokens before the update, in nats per token.
    pub loss: f64,
    /// L2 norm of the gradient over all parameters, before clipping.
    pub grad_norm: f64,
    /// Learning rate of the update.
    pub learning_rate: f64,
    /// Samples.
    pub samples: usize,
    /// Real tokens, prompts included.
    pub tokens: usize,
    /// Supervised tokens that were predicted.
    pub targets: usize,
    /// Forward passes whose gradients were summed.
    pub micro_batches: usize,
    /// Wall-clock time of the step.
    pub seconds: f64,
}

/// What an evaluation on held-out data gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// The optimizer step after which it took place; 0 is before the first.
    pub step: usize,
    /// Mean negative log-likelihood over all supervised tokens, in nats per token.
    pub loss: f64,
    /// Whether no earlier evaluation of the run gave less.
    pub best: bool,
    /// Supervised tokens.
    pub targets: usize,
    /// Wall-clock time.
    pub seconds: f64,
}

/// The steps of a run, collected: its loss curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Steps(pub Vec<StepRecord>);

impl Deref for Steps {
    type Target = [StepRecord];

    fn deref(&self) -> &[StepRecord] {
        &self.0
    }
}

impl Progress for Steps {
    fn start(&mut self, _: &Stage<'_>) {}

    fn advance(&mut self, _: u64) {}

    fn record(&mut self, kind: &str, record: &Value) {
        if kind == STEP
            && let Ok(step) = StepRecord::deserialize(record)
        {
            self.0.push(step);
        }
    }
}

/// Kinds of what a run [records](Progress::record), beside its stage `training` with its steps: a [`StepRecord`], an
/// [`EvalRecord`], `step` and `path` of a checkpoint that was written, `step` and `path` of the one that the run goes on
/// from, and the `error` of one that is damaged and was passed over.
pub(crate) const STEP: &str = "step";
pub(crate) const EVALUATION: &str = "evaluation";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const RESUMED: &str = "resumed";
pub(crate) const DAMAGED: &str = "damaged checkpoint";

/// Tells a record; one that has no JSON form has nobody who could read it.
pub(crate) fn tell(progress: &mut dyn Progress, kind: &str, record: &impl Serialize) {
    if let Ok(record) = serde_json::to_value(record) {
        progress.record(kind, &record);
    }
}

/// Tells a step, and that it is done.
pub(crate) fn tell_step(progress: &mut dyn Progress, record: &StepRecord) {
    tell(progress, STEP, record);
    progress.advance(1);
}
