//! When a run is evaluated on held-out data, and what follows from it.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::EvalRecord;

/// How often a run is evaluated, and what follows. Besides, every run with held-out data is
/// evaluated before its first step and after its last.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvalParams {
    /// Steps between evaluations; `None` (the default) evaluates at the end of every epoch.
    pub every: Option<usize>,
    /// Evaluations without an improvement after which training stops; `None` (the default) never
    /// does.
    pub patience: Option<usize>,
    /// By how much, in nats per token, an evaluation must undercut the last improvement to be one
    /// itself. Default 0.
    pub min_delta: f64,
    /// Whether the run ends with the weights of the lowest evaluation rather than the last ones.
    /// That may be the weights it started from. Takes a copy of what is trained in host memory.
    /// Default yes.
    pub keep_best: bool,
}

impl Default for EvalParams {
    fn default() -> Self {
        Self { every: None, patience: None, min_delta: 0.0, keep_best: true }
    }
}

impl EvalParams {
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        if let Some(steps) = self.every {
            ParameterError::at_least("evaluation.every", steps, 1)?;
        }
        if let Some(evaluations) = self.patience {
            ParameterError::at_least("evaluation.patience", evaluations, 1)?;
        }
        ParameterError::finite_from("evaluation.min_delta", self.min_delta, 0.0)
    }

    /// Whether the run is evaluated after `step` of `steps`, an epoch having `epoch` steps.
    pub(crate) fn due(&self, step: usize, epoch: usize, steps: usize) -> bool {
        step == steps || step.is_multiple_of(self.every.unwrap_or(epoch))
    }

    /// Whether patience has run out.
    pub(crate) fn exhausted(&self, history: &[EvalRecord]) -> bool {
        let Some(patience) = self.patience else { return false };
        let (mut reference, mut without) = (f64::INFINITY, 0);
        for record in history {
            if record.loss < reference - self.min_delta {
                (reference, without) = (record.loss, 0);
            } else {
                without += 1;
            }
        }
        without >= patience
    }
}

/// The lowest evaluation; of equals, the first.
pub(crate) fn best(history: &[EvalRecord]) -> Option<&EvalRecord> {
    history.iter().rev().find(|record| record.best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[f64]) -> Vec<EvalRecord> {
        let mut lowest = f64::INFINITY;
        let record = |(step, &loss): (usize, &f64)| {
            let best = loss < lowest;
            lowest = lowest.min(loss);
            EvalRecord { step, loss, best, targets: 1, seconds: 0.0 }
        };
        losses.iter().enumerate().map(record).collect()
    }

    #[test]
    fn patience_counts_evaluations_since_the_last_improvement() {
        let params = EvalParams { patience: Some(2), ..EvalParams::default() };
        assert!(!params.exhausted(&[]));
        assert!(!params.exhausted(&history(&[3.0, 2.0, 2.5])));
        assert!(params.exhausted(&history(&[3.0, 2.0, 2.5, 2.0])));
        assert!(!params.exhausted(&history(&[3.0, 2.0, 2.5, 1.9])));
        assert!(!EvalParams::default().exhausted(&history(&[1.0, 2.0, 3.0, 4.0])));
    }

    #[test]
    fn a_slow_improvement_counts_once_it_adds_up() {
        let params = EvalParams { patience: Some(3), min_delta: 0.25, ..EvalParams::default() };
        assert!(!params.exhausted(&history(&[2.0, 1.9, 1.8, 1.7])));
        assert!(params.exhausted(&history(&[2.0, 1.9, 1.8, 1.78])));
    }

    #[test]
    fn the_best_of_equals_is_the_first() {
        assert_eq!(best(&history(&[3.0, 2.0, 2.0, 2.5])).map(|record| record.step), Some(1));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn evaluations_fall_due_at_the_ends_of_epochs_or_every_few_steps_and_at_the_end() {
        let due = |every| {
            let params = EvalParams { every, ..EvalParams::default() };
            (0..=10).filter(|&step| params.due(step, 5, 10)).collect::<Vec<_>>()
        };
        assert_eq!(due(None), [0, 5, 10]);
        assert_eq!(due(Some(4)), [0, 4, 8, 10]);
    }
}
