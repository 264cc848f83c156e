//! The settings of a training run, and their check.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::{AdamWParams, FineTuner, FinetuneError, Schedule};

/// Which parameters weight decay shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decay {
    /// Those of two or more dimensions: matrices and embeddings, but no bias and no norm weight.
    /// What the `FineTuner` of Hugging Face does.
    #[default]
    Matrices,
    /// Every parameter. What `torch.optim.AdamW` does with `model.parameters()`.
    All,
}

/// How to train; [`check`](TrainParams::check) turns it into a [`FineTuner`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainParams {
    /// Passes over the data. Default 3.
    pub epochs: usize,
    /// Highest learning rate. Default 1e-5, a usual value for models of billions of parameters;
    /// models of some millions want 1e-4 to 1e-3.
    pub learning_rate: f64,
    /// Samples per optimizer step. Default 64.
    pub batch_size: usize,
    /// Padded tokens (rows × longest row) per forward pass. A step whose samples do not fit into
    /// one pass accumulates the gradients of several; this bounds memory and changes nothing else.
    /// Default 4,096.
    pub token_budget: usize,
    /// Share of all steps during which the learning rate rises from 0. Default 0.03.
    pub warmup_ratio: f64,
    /// How the learning rate falls after the warm-up. Default linear.
    pub schedule: Schedule,
    /// Decay rates of the two moments of `AdamW`. Default (0.9, 0.999).
    pub betas: (f64, f64),
    /// Added to the root of the second moment. Default 1e-8.
    pub eps: f64,
    /// Decoupled weight decay. Default 0.
    pub weight_decay: f64,
    /// Which parameters decay. Default those of two or more dimensions.
    pub decay: Decay,
    /// Gradients whose L2 norm over all parameters is larger are scaled down to it; `None` leaves
    /// them alone. Default 1.
    pub max_grad_norm: Option<f64>,
    /// Decides the order of the samples in every epoch, and the dropout of adapters. Default 0.
    pub seed: u64,
    /// How many times the larger of ln(vocabulary), which is what blind guessing costs, and the
    /// first step's loss a step's loss may be before the run counts as diverged; `None` waits for
    /// one that is not finite. Default 10.
    #[serde(skip_serializing_if = "is_default_ceiling")]
    pub loss_ceiling: Option<f64>,
    /// Whether the backward pass computes the decoder blocks again instead of remembering their
    /// activations: a third more arithmetic for memory of one block instead of all. Default no.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub activation_checkpointing: bool,
}

const LOSS_CEILING: Option<f64> = Some(10.0);

/// Settings that were added later are left out of what is written while they change nothing, so
/// that records of earlier runs stay equal to those of now.
#[allow(clippy::ref_option)] // the signature that serde wants
fn is_default_ceiling(ceiling: &Option<f64>) -> bool {
    *ceiling == LOSS_CEILING
}

impl Default for TrainParams {
    fn default() -> Self {
        let adamw = AdamWParams::default();
        Self {
            epochs: 3,
            learning_rate: 1e-5,
            batch_size: 64,
            token_budget: 4096,
            warmup_ratio: 0.03,
            schedule: Schedule::Linear,
            betas: adamw.betas,
            eps: adamw.eps,
            weight_decay: adamw.weight_decay,
            decay: adamw.decay,
            max_grad_norm: Some(1.0),
            seed: 0,
            loss_ceiling: LOSS_CEILING,
            activation_checkpointing: false,
        }
    }
}

impl TrainParams {
    /// The part that the optimizer needs.
    pub fn adamw(&self) -> AdamWParams {
        AdamWParams {
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.weight_decay,
            decay: self.decay,
        }
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// [`FinetuneError::Parameter`] for the first one outside its range.
    pub fn check(self) -> Result<FineTuner, FinetuneError> {
        for (name, value) in [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("token_budget", self.token_budget),
        ] {
            ParameterError::at_least(name, value, 1)?;
        }
        ParameterError::finite_above("learning_rate", self.learning_rate, 0.0)?;
        ParameterError::within("warmup_ratio", self.warmup_ratio, 0.0..=1.0)?;
        if let Some(norm) = self.max_grad_norm {
            ParameterError::finite_above("max_grad_norm", norm, 0.0)
                .map_err(|error| error.with_hint("or leave it out"))?;
        }
        if let Some(ceiling) = self.loss_ceiling {
            ParameterError::finite_from("loss_ceiling", ceiling, 1.0)
                .map_err(|error| error.with_hint("or leave it out"))?;
        }
        self.adamw().check()?;
        Ok(FineTuner::new(self))
    }
}
