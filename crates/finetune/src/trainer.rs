//! The training loop.

use std::time::Instant;

use serde::Serialize;
use tamis_dataset::{Encoded, plan_batches};
use tamis_model::{Batch, CausalLm, NoTap, target_log_probs};
use tch::{Kind, Tensor};

use crate::weights::{Unfrozen, norms};
use crate::{
    AdamW, FinetuneError, Observer, StepRecord, TrainParams, epoch_order, order, warmup_steps,
};

/// Trains all weights of a model; made by [`TrainParams::check`].
#[derive(Clone, Debug)]
pub struct Trainer {
    params: TrainParams,
}

/// What a whole run did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainReport {
    /// Optimizer steps.
    pub steps: usize,
    /// Real tokens seen, prompts included, over all epochs.
    pub tokens: usize,
    /// Supervised tokens predicted, over all epochs.
    pub targets: usize,
    /// One entry per epoch.
    pub epochs: Vec<EpochRecord>,
    /// Wall-clock time.
    pub seconds: f64,
}

/// What one epoch did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EpochRecord {
    /// Mean negative log-likelihood over the supervised tokens of the epoch, in nats per token,
    /// each taken before the update its step made.
    pub loss: f64,
    /// Optimizer steps.
    pub steps: usize,
    /// Wall-clock time.
    pub seconds: f64,
}

/// What a step's forward and backward passes gave.
struct Passes {
    loss: f64,
    tokens: usize,
    targets: usize,
    micro_batches: usize,
}

impl Trainer {
    pub(crate) fn new(params: TrainParams) -> Self {
        Self { params }
    }

    /// The checked settings.
    pub fn params(&self) -> &TrainParams {
        &self.params
    }

    /// Optimizer steps that [`train`](Trainer::train) takes on `samples` samples.
    pub fn steps(&self, samples: usize) -> usize {
        samples.div_ceil(self.params.batch_size) * self.params.epochs
    }

    /// Fine-tunes every weight of `model` on the supervised tokens of `data`.
    ///
    /// Each epoch visits the samples in the order [`epoch_order`] gives; `batch_size` consecutive
    /// ones make an optimizer step, the last of an epoch being smaller when they do not divide
    /// evenly. The loss of a step is the mean over its supervised tokens, however they are split
    /// into forward passes. When this returns, with or without an error, the weights are frozen
    /// and gradients and moments are gone.
    ///
    /// # Errors
    /// Before anything is changed: no data, a sample that the model cannot be trained on, weights
    /// in half precision. Later: [`FinetuneError::Diverged`], which leaves the weights of the last
    /// good step, or what model and LibTorch report.
    pub fn train(
        &self,
        model: &mut dyn CausalLm,
        data: &[Encoded],
        observer: &mut dyn Observer,
    ) -> Result<TrainReport, FinetuneError> {
        let begun = Instant::now();
        check_data(&*model, data)?;
        let mut weights = Unfrozen::new(model)?;
        let mut optimizer = AdamW::new(self.params.adamw(), weights.iter())?;
        let steps = self.steps(data.len());
        let warmup = warmup_steps(steps, self.params.warmup_ratio);
        observer.start(steps);

        let mut report =
            TrainReport { steps: 0, tokens: 0, targets: 0, epochs: Vec::new(), seconds: 0.0 };
        for epoch in 0..self.params.epochs {
            let epoch_begun = Instant::now();
            let (mut nll, mut targets, before) = (0.0, 0, report.steps);
            let order = epoch_order(data.len(), self.params.seed, epoch);
            for range in order::steps(order.len(), self.params.batch_size) {
                let step_begun = Instant::now();
                let samples: Vec<&Encoded> = order[range].iter().map(|&i| &data[i]).collect();
                let factor = self.params.schedule.factor(report.steps, warmup, steps);
                let mut record = StepRecord {
                    step: report.steps + 1,
                    steps,
                    epoch: epoch + 1,
                    loss: 0.0,
                    grad_norm: 0.0,
                    learning_rate: self.params.learning_rate * factor,
                    samples: samples.len(),
                    tokens: 0,
                    targets: 0,
                    micro_batches: 0,
                    seconds: 0.0,
                };
                self.step(&*model, &mut weights, &mut optimizer, &samples, &mut record)?;
                record.seconds = step_begun.elapsed().as_secs_f64();
                observer.step(&record);
                nll += record.loss * record.targets as f64;
                targets += record.targets;
                report.tokens += record.tokens;
                report.steps += 1;
            }
            report.targets += targets;
            report.epochs.push(EpochRecord {
                loss: nll / targets as f64,
                steps: report.steps - before,
                seconds: epoch_begun.elapsed().as_secs_f64(),
            });
        }
        report.seconds = begun.elapsed().as_secs_f64();
        Ok(report)
    }

    /// One optimizer step; fills in what `record` is to tell of it.
    fn step(
        &self,
        model: &dyn CausalLm,
        weights: &mut Unfrozen,
        optimizer: &mut AdamW,
        samples: &[&Encoded],
        record: &mut StepRecord,
    ) -> Result<(), FinetuneError> {
        weights.clear()?;
        let passes = accumulate(model, samples, self.params.token_budget)?;
        (record.loss, record.tokens) = (passes.loss, passes.tokens);
        (record.targets, record.micro_batches) = (passes.targets, passes.micro_batches);
        if !passes.loss.is_finite() {
            return Err(diverged(record, "the loss is not finite".to_owned()));
        }
        let mut gradients = weights.gradients()?;
        let (norms, total) = norms(&gradients)?;
        if !total.is_finite() {
            let named = weights.iter().zip(&norms).find(|(_, norm)| !norm.is_finite());
            let of = named.map_or_else(
                || "all parameters together".to_owned(),
                |((name, _), _)| format!("`{name}`"),
            );
            return Err(diverged(record, format!("the gradient norm of {of} is not finite")));
        }
        record.grad_norm = total;
        let scale = self.params.max_grad_norm.map_or(1.0, |highest| clip_scale(total, highest));
        optimizer.step(weights.tensors(), &mut gradients, record.learning_rate, scale)
    }
}

/// What brings a gradient of norm `norm` down to `highest`, as `torch.nn.utils.clip_grad_norm_` does.
fn clip_scale(norm: f64, highest: f64) -> f64 {
    (highest / (norm + 1e-6)).min(1.0)
}

fn diverged(record: &StepRecord, what: String) -> FinetuneError {
    let StepRecord { step, steps, epoch, loss, learning_rate, .. } = *record;
    FinetuneError::Diverged { step, steps, epoch, loss, learning_rate, what }
}

/// Adds the gradient of the samples' mean loss to the weights' gradient slots.
fn accumulate(
    model: &dyn CausalLm,
    samples: &[&Encoded],
    token_budget: usize,
) -> Result<Passes, FinetuneError> {
    let lengths: Vec<usize> = samples.iter().map(|sample| sample.ids.len()).collect();
    let targets = samples.iter().map(|sample| target_count(sample)).sum::<usize>();
    let device = model.shape().device;
    let plan = plan_batches(&lengths, token_budget)?;
    let mut total: Option<Tensor> = None;
    for rows in &plan {
        let rows: Vec<&Encoded> = rows.iter().map(|&row| samples[row]).collect();
        let batch = Batch::new(&rows, device)?;
        // Whatever mode the caller is in, this needs the graph; it is freed before the next pass.
        let part = tch::with_grad(|| -> Result<Tensor, FinetuneError> {
            let log_probs = target_log_probs(model, &batch, &mut NoTap)?;
            let part = log_probs.f_sum(log_probs.kind())?.f_div_scalar(-(targets as f64))?;
            part.f_backward()?;
            Ok(part.f_detach()?)
        })?;
        // Summed on the device: reading it after every pass would wait for it.
        total = Some(match total {
            Some(sum) => sum.f_add(&part.f_to_kind(Kind::Double)?)?,
            None => part.f_to_kind(Kind::Double)?,
        });
    }
    let loss = total.map_or(Ok(0.0), |sum| sum.f_double_value(&[]))?;
    Ok(Passes { loss, tokens: lengths.iter().sum(), targets, micro_batches: plan.len() })
}

/// Targets of a sample; its first token is never one, having nothing to be predicted from.
fn target_count(sample: &Encoded) -> usize {
    sample.supervised.iter().skip(1).filter(|&&supervised| supervised).count()
}

/// Finds samples that would stop the run half-way.
fn check_data(model: &dyn CausalLm, data: &[Encoded]) -> Result<(), FinetuneError> {
    if data.is_empty() {
        return Err(FinetuneError::NoData);
    }
    let shape = model.shape();
    for sample in data {
        let refuse = |reason: String| {
            Err(FinetuneError::Sample { id: sample.id.clone(), index: sample.index, reason })
        };
        if sample.ids.len() != sample.supervised.len() {
            let (ids, marks) = (sample.ids.len(), sample.supervised.len());
            return refuse(format!("it has {ids} tokens but {marks} marks of supervision"));
        }
        if target_count(sample) == 0 {
            return refuse("none of its tokens is supervised".to_owned());
        }
        if sample.ids.len() > shape.max_positions {
            return refuse(format!(
                "it has {} tokens, the model takes at most {}; encode with a smaller maximal length",
                sample.ids.len(),
                shape.max_positions
            ));
        }
        if let Some(id) = sample.ids.iter().find(|&&id| id as usize >= shape.vocab_size) {
            return refuse(format!(
                "token id {id} is outside the model's vocabulary of {}; is this the model's own \
                 tokenizer?",
                shape.vocab_size
            ));
        }
    }
    Ok(())
}
