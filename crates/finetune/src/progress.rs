//! How far a run has come: everything but tensors that going on needs.

use serde::{Deserialize, Serialize};

use crate::{EpochRecord, EvalRecord, StepRecord};

/// How far a run has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Optimizer steps taken.
    pub(crate) step: usize,
    /// Real tokens seen.
    pub(crate) tokens: usize,
    /// Supervised tokens predicted.
    pub(crate) targets: usize,
    /// Wall-clock time of all sessions.
    pub(crate) seconds: f64,
    /// Finished epochs.
    pub(crate) epochs: Vec<EpochRecord>,
    /// The epoch under way.
    pub(crate) current: Current,
    /// Loss of every step.
    pub(crate) losses: Vec<f64>,
    /// Every evaluation.
    pub(crate) evaluations: Vec<EvalRecord>,
}

/// Sums over the steps of the epoch under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Current {
    steps: usize,
    /// Samples seen: where in the epoch's order the next step begins.
    samples: usize,
    nll: f64,
    targets: usize,
    seconds: f64,
}

impl Progress {
    /// Takes up a step; `ended` is the mean learning rate of the epoch that it ends.
    pub(crate) fn take(&mut self, record: &StepRecord, ended: Option<f64>) {
        self.step = record.step;
        self.tokens += record.tokens;
        self.targets += record.targets;
        self.losses.push(record.loss);
        let current = &mut self.current;
        current.steps += 1;
        current.samples += record.samples;
        current.nll += record.loss * record.targets as f64;
        current.targets += record.targets;
        current.seconds += record.seconds;
        if ended.is_some() {
            let Current { steps, nll, targets, seconds, .. } = std::mem::take(current);
            let loss = nll / targets as f64;
            self.epochs.push(EpochRecord { loss, steps, seconds, learning_rate: ended });
        }
    }
}
