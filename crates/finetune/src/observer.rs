//! What a training run tells while it goes on.

use serde::Serialize;

/// What happened in one optimizer step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
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

/// Watches a training run: progress bars, logs, loss curves.
pub trait Observer {
    /// Called once the number of steps is known, before the first one.
    fn start(&mut self, steps: usize) {
        let _ = steps;
    }

    /// Called after every optimizer step.
    fn step(&mut self, record: &StepRecord);
}

/// Watches nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn step(&mut self, _record: &StepRecord) {}
}

/// A list of records is an observer: the loss curve of the run.
impl Observer for Vec<StepRecord> {
    fn step(&mut self, record: &StepRecord) {
        self.push(*record);
    }
}
