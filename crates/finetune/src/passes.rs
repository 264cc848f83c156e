//! Forward and backward passes of one optimizer step, and passes over held-out data.

use std::time::Instant;

use serde::Serialize;
use tamis_dataset::{Encoded, plan_batches};
use tamis_model::{Batch, CausalLm, NoTap, Tap, target_log_probs};
use tch::{Kind, Tensor, no_grad};

use crate::data::target_count;
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Mean negative log-likelihood over the supervised tokens of all samples, in nats per token.
    pub loss: f64,
    /// Supervised tokens.
    pub targets: usize,
    /// Wall-clock time.
    pub seconds: f64,
}

/// The loss of `model` on `data`, without gradients: the mean over all supervised tokens.
///
/// `token_budget` bounds the padded tokens of a forward pass; `tap` may be a
/// [`Lora::tap`](crate::Lora::tap).
///
/// # Errors
/// No data, a sample the model cannot read, or what LibTorch reports.
pub fn evaluate(
    model: &dyn CausalLm,
    data: &[Encoded],
    token_budget: usize,
    tap: &mut dyn Tap,
) -> Result<Evaluation, FinetuneError> {
    let begun = Instant::now();
    let shape = model.shape();
    crate::data::check(&shape, data)?;
    let lengths: Vec<usize> = data.iter().map(|sample| sample.ids.len()).collect();
    let targets: usize = data.iter().map(target_count).sum();
    no_grad(|| {
        let mut total = Tensor::f_zeros([], (Kind::Double, shape.device))?;
        for rows in plan_batches(&lengths, token_budget)? {
            let rows: Vec<&Encoded> = rows.iter().map(|&row| &data[row]).collect();
            let batch = Batch::new(&rows, shape.device)?;
            let log_probs = target_log_probs(model, &batch, tap)?;
            total = total.f_sub(&log_probs.f_sum(Kind::Double)?)?;
        }
        let loss = total.f_double_value(&[])? / targets as f64;
        Ok(Evaluation { loss, targets, seconds: begun.elapsed().as_secs_f64() })
    })
}
