//! What a training run tells while it goes on.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::FinetuneError;

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

/// Watches a training run: progress bars, logs, loss curves.
pub trait Observer {
    /// Called once the number of steps is known, before the first one.
    fn start(&mut self, steps: usize) {
        let _ = steps;
    }

    /// Called for every damaged checkpoint that is passed over in looking for one to go on from.
    fn damaged(&mut self, damage: &FinetuneError) {
        let _ = damage;
    }

    /// Called after [`start`](Observer::start) if the run goes on from a checkpoint: the next step
    /// is `step + 1`.
    fn resume(&mut self, step: usize, checkpoint: &Path) {
        let _ = (step, checkpoint);
    }

    /// Called after every optimizer step.
    fn step(&mut self, record: &StepRecord);

    /// Called after every evaluation.
    fn evaluation(&mut self, record: &EvalRecord) {
        let _ = record;
    }

    /// Called after a checkpoint was written.
    fn checkpoint(&mut self, step: usize, path: &Path) {
        let _ = (step, path);
    }
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

/// Two observers are one.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn start(&mut self, steps: usize) {
        self.0.start(steps);
        self.1.start(steps);
    }

    fn damaged(&mut self, damage: &FinetuneError) {
        self.0.damaged(damage);
        self.1.damaged(damage);
    }

    fn resume(&mut self, step: usize, checkpoint: &Path) {
        self.0.resume(step, checkpoint);
        self.1.resume(step, checkpoint);
    }

    fn step(&mut self, record: &StepRecord) {
        self.0.step(record);
        self.1.step(record);
    }

    fn evaluation(&mut self, record: &EvalRecord) {
        self.0.evaluation(record);
        self.1.evaluation(record);
    }

    fn checkpoint(&mut self, step: usize, path: &Path) {
        self.0.checkpoint(step, path);
        self.1.checkpoint(step, path);
    }
}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn start(&mut self, steps: usize) {
        (**self).start(steps);
    }

    fn damaged(&mut self, damage: &FinetuneError) {
        (**self).damaged(damage);
    }

    fn resume(&mut self, step: usize, checkpoint: &Path) {
        (**self).resume(step, checkpoint);
    }

    fn step(&mut self, record: &StepRecord) {
        (**self).step(record);
    }

    fn evaluation(&mut self, record: &EvalRecord) {
        (**self).evaluation(record);
    }

    fn checkpoint(&mut self, step: usize, path: &Path) {
        (**self).checkpoint(step, path);
    }
}
