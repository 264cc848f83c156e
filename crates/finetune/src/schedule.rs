//! Learning-rate schedules: a factor between 0 and 1 for every step.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// How the learning rate goes on after the warm-up.
///
/// With `W` warm-up steps of `N` in all, step `k` (from 0) uses the highest rate times `k / W`
/// while `k < W`, and after that, with `p = (k − W) / (N − W)`, times the factor below. These are
/// the schedules of Hugging Face's `get_*_schedule_with_warmup`; note that the very first step of
/// a warm-up has rate 0: it fills the optimizer's moments and moves nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// `1 − p`, straight down to 0.
    #[default]
    Linear,
    /// `1`.
    Constant,
    /// `(1 + cos πp) / 2`, half a cosine wave down to 0.
    Cosine,
}

impl Schedule {
    /// The factor of step `step` (from 0) of `steps`, after `warmup` warm-up steps.
    pub fn factor(self, step: usize, warmup: usize, steps: usize) -> f64 {
        if step < warmup {
            return step as f64 / warmup as f64;
        }
        let after = steps.saturating_sub(warmup).max(1);
        let progress = ((step - warmup) as f64 / after as f64).min(1.0);
        match self {
            Self::Linear => 1.0 - progress,
            Self::Constant => 1.0,
            Self::Cosine => f64::midpoint(1.0, (PI * progress).cos()),
        }
    }
}

/// Warm-up steps of a run of `steps`: the share `ratio`, rounded up, but never all of them, so that
/// the highest rate is reached (a run of one step would otherwise do nothing).
pub fn warmup_steps(steps: usize, ratio: f64) -> usize {
    ((steps as f64 * ratio).ceil() as usize).min(steps.saturating_sub(1))
}
