//! Forward and backward passes of one optimizer step, and passes over held-out data.

use std::time::Instant;

use serde::Serialize;
use tamis_dataset::{Encoded, Encodings, Skipped, plan_batches};
use tamis_model::{Batch, CausalLm, NoTap, Tap, target_log_probs};
use tch::{Kind, Tensor, no_grad};

use crate::data::{Usable, target_count};
use crate::weights::Unfrozen;
use crate::{FinetuneError, Lora, recompute};

/// What a step's forward and backward passes gave.
pub(crate) struct Passes {
    pub(crate) loss: f64,
    pub(crate) tokens: usize,
    pub(crate) targets: usize,
    pub(crate) micro_batches: usize,
}

/// How the passes of a step are made.
pub(crate) struct Passing<'a> {
    pub(crate) model: &'a dyn CausalLm,
    pub(crate) lora: Option<&'a Lora>,
    pub(crate) token_budget: usize,
    /// Whether blocks are computed again in the backward pass instead of being remembered.
    pub(crate) recompute: bool,
    pub(crate) seed: u64,
}

impl Passing<'_> {
    /// Adds the gradient of the samples' mean loss to the weights' gradient slots; `step` (from 0)
    /// keys the dropout masks.
    pub(crate) fn accumulate(
        &self,
        samples: &[&Encoded],
        step: usize,
        weights: &mut Unfrozen,
    ) -> Result<Passes, FinetuneError> {
        let lengths: Vec<usize> = samples.iter().map(|sample| sample.ids.len()).collect();
        let targets = samples.iter().map(|sample| target_count(sample)).sum::<usize>();
        let device = self.model.shape().device;
        let plan = plan_batches(&lengths, self.token_budget)?;
        let mut total: Option<Tensor> = None;
        for (pass, rows) in plan.iter().enumerate() {
            let rows: Vec<&Encoded> = rows.iter().map(|&row| samples[row]).collect();
            let batch = Batch::new(&rows, device)?;
            let mut tap: Box<dyn Tap + '_> = match self.lora {
                Some(lora) => Box::new(lora.training_tap(self.seed, step, pass)),
                None => Box::new(NoTap),
            };
            // Whatever mode the caller is in, this needs the graph; it is freed before the next pass.
            let part = tch::with_grad(|| -> Result<Tensor, FinetuneError> {
                if self.recompute {
                    return recompute::pass(self.model, &batch, targets, tap.as_mut());
                }
                let log_probs = target_log_probs(self.model, &batch, tap.as_mut())?;
                let part = log_probs.f_sum(log_probs.kind())?.f_div_scalar(-(targets as f64))?;
                part.f_backward()?;
                Ok(part.f_detach()?)
            })?;
            weights.pass_done()?;
            // Summed on the device: reading it after every pass would wait for it.
            total = Some(match total {
                Some(sum) => sum.f_add(&part.f_to_kind(Kind::Double)?)?,
                None => part.f_to_kind(Kind::Double)?,
            });
        }
        let loss = total.map_or(Ok(0.0), |sum| sum.f_double_value(&[]))?;
        Ok(Passes { loss, tokens: lengths.iter().sum(), targets, micro_batches: plan.len() })
    }
}

/// What [`evaluate`] found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Mean negative log-likelihood over the supervised tokens of all samples, in nats per token.
    pub loss: f64,
    /// Supervised tokens.
    pub targets: usize,
    /// Wall-clock time.
    pub seconds: f64,
    /// Rows that could not be used, and why.
    pub skipped: Vec<Skipped>,
}

/// The loss of `model` on `data`, without gradients: the mean over all supervised tokens.
///
/// `token_budget` bounds the padded tokens of a forward pass; `tap` may be a
/// [`Lora::tap`](crate::Lora::tap).
///
/// # Errors
/// No data, no row that can be used, tokens that are not the model's, or what reading and LibTorch
/// report.
pub fn evaluate(
    model: &dyn CausalLm,
    data: &Encodings<'_>,
    token_budget: usize,
    tap: &mut dyn Tap,
) -> Result<Evaluation, FinetuneError> {
    let begun = Instant::now();
    let usable = Usable::find(&model.shape(), data)?;
    let loss = mean_loss(model, &usable, token_budget, tap)?;
    let (targets, seconds) = (usable.targets, begun.elapsed().as_secs_f64());
    Ok(Evaluation { loss, targets, seconds, skipped: usable.skipped })
}

/// The mean loss over all supervised tokens; the tokens of one forward pass are held at a time.
pub(crate) fn mean_loss(
    model: &dyn CausalLm,
    data: &Usable<'_>,
    token_budget: usize,
    tap: &mut dyn Tap,
) -> Result<f64, FinetuneError> {
    let device = model.shape().device;
    no_grad(|| {
        let mut total = Tensor::f_zeros([], (Kind::Double, device))?;
        for places in plan_batches(&data.lengths(), token_budget)? {
            let rows = data.read(&places)?;
            let batch = Batch::new(&rows.iter().collect::<Vec<_>>(), device)?;
            let log_probs = target_log_probs(model, &batch, tap)?;
            total = total.f_sub(&log_probs.f_sum(Kind::Double)?)?;
        }
        Ok(total.f_double_value(&[])? / data.targets as f64)
    })
}
