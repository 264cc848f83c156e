//! The training loop: one process's part of a run.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::{Map, Value, json};
use tamis_artifact::Stage;
use tamis_dataset::Encoded;
use tamis_model::NoTap;
use tch::{Kind, Tensor};

use crate::checkpoint::{Best, Contents, Resumable};
use crate::data::Usable;
use crate::observer::{CHECKPOINT, DAMAGED, EVALUATION, RESUMED, tell, tell_step};
use crate::passes::{Passing, mean_loss};
use crate::progress::Progress;
use crate::provenance::provenance;
use crate::subject::{Subject, not_finite};
use crate::validation::best;
use crate::weights::{Unfrozen, norms};
use crate::window::Window;
use crate::{
    AdamW, Checkpoints, EvalParams, EvalRecord, FinetuneError, Job, StepRecord, TrainParams,
    TrainReport, epoch_order, order, warmup_steps,
};

/// One process's part of a run.
pub(crate) struct Session<'a> {
    params: &'a TrainParams,
    subject: Subject<'a>,
    data: Usable<'a>,
    validation: Option<(Usable<'a>, EvalParams)>,
    checkpoints: Option<&'a mut Checkpoints>,
    observer: &'a mut dyn tamis_artifact::Progress,
    /// What decides the run; filled in where there are checkpoints.
    run: Map<String, Value>,
    weights: Unfrozen,
    optimizer: AdamW,
    progress: Progress,
    /// The weights of the lowest evaluation, where they are to be kept.
    best: Option<Vec<Tensor>>,
    resumed: Option<usize>,
    /// Steps of an epoch, of the whole run, and of its warm-up.
    epoch: usize,
    steps: usize,
    warmup: usize,
    begun: Instant,
    /// Wall-clock time of earlier sessions.
    earlier: f64,
}

impl<'a> Session<'a> {
    /// Checks everything and goes to where the newest checkpoint was.
    pub(crate) fn begin(
        params: &'a TrainParams,
        job: Job<'a>,
        observer: &'a mut dyn tamis_artifact::Progress,
    ) -> Result<Self, FinetuneError> {
        let begun = Instant::now();
        let Job { model, lora, data, validation, checkpoints } = job;
        let shape = model.shape();
        if shape.kind == Kind::Half {
            return Err(FinetuneError::HalfPrecision { kind: shape.kind });
        }
        let usable = Usable::find(&shape, data)?;
        let held_out = match &validation {
            Some((held_out, how)) => {
                how.check()?;
                Some((Usable::find(&shape, held_out)?, *how))
            }
            None => None,
        };
        let subject = Subject { model, lora: lora.map(|lora| &*lora) };
        // Before the weights take gradients, and before a checkpoint changes them.
        let mut run = Map::new();
        if checkpoints.is_some() {
            run = provenance(params, &subject, data, validation)?;
        }
        let weights = subject.unfreeze()?;
        let optimizer = AdamW::new(params.adamw(), weights.iter())?;
        let epoch = usable.len().div_ceil(params.batch_size);
        let steps = epoch * params.epochs;
        let mut session = Self {
            params,
            subject,
            data: usable,
            validation: held_out,
            checkpoints,
            observer,
            run,
            weights,
            optimizer,
            progress: Progress::default(),
            best: None,
            resumed: None,
            epoch,
            steps,
            warmup: warmup_steps(steps, params.warmup_ratio),
            begun,
            earlier: 0.0,
        };
        session.resume()?;
        let done = session.resumed.unwrap_or(0);
        session.observer.start(&Stage::new("training", "steps", steps).resumed(done));
        Ok(session)
    }

    /// Takes up the newest checkpoint, if there is one.
    fn resume(&mut self) -> Result<(), FinetuneError> {
        let Some(checkpoints) = &self.checkpoints else { return Ok(()) };
        let observer = &mut *self.observer;
        let keeps = self.validation.as_ref().is_some_and(|(_, how)| how.keep_best);
        let damaged = |damage: &FinetuneError| {
            tell(observer, DAMAGED, &json!({ "error": damage.to_string() }));
        };
        let found = checkpoints.newest(&self.run, keeps, damaged)?;
        let Some(Resumable { newest, best }) = found else { return Ok(()) };
        let (dir, here) = (newest.dir.clone(), newest.step());
        if let Best::Other(found) = &best {
            found.restore_weights(self.subject)?;
        }
        if matches!(best, Best::Start | Best::Other(_)) {
            self.best = Some(self.weights.snapshot()?);
        }
        let mut contents = Contents {
            subject: self.subject,
            weights: &mut self.weights,
            optimizer: &mut self.optimizer,
        };
        self.progress = newest.restore(&mut contents)?;
        if matches!(best, Best::Newest) {
            self.best = Some(self.weights.snapshot()?);
        }
        self.earlier = self.progress.seconds;
        self.resumed = Some(here);
        tell(self.observer, RESUMED, &json!({ "step": here, "path": dir.display().to_string() }));
        Ok(())
    }

    /// Trains to the end.
    pub(crate) fn run(mut self) -> Result<TrainReport, FinetuneError> {
        if self.progress.evaluations.is_empty() {
            self.evaluate()?;
        }
        let (mut order, mut of) = (Vec::new(), None);
        let mut window = Window::new(self.params.batch_size);
        while self.progress.step < self.steps && !self.exhausted() {
            let epoch = self.progress.step / self.epoch;
            if of != Some(epoch) {
                order = epoch_order(self.data.len(), self.params.seed, epoch);
                of = Some(epoch);
                window.clear();
            }
            let within = self.progress.step % self.epoch;
            let range = order::step(within, order.len(), self.params.batch_size);
            let samples = window.read(&self.data, &order, range)?;
            let record = self.step(&samples, epoch)?;
            tell_step(self.observer, &record);
            let ended = (within + 1 == self.epoch).then(|| self.mean_rate(epoch));
            self.progress.take(&record, ended);
            // The loss of this step was that of the weights after the one before.
            let best = self.best_step();
            if let Some(checkpoints) = &mut self.checkpoints {
                checkpoints.settle(best)?;
            }
            let step = self.progress.step;
            let due = |how: &EvalParams| how.due(step, self.epoch, self.steps);
            let evaluated = self.validation.as_ref().is_some_and(|(_, how)| due(how));
            let improved = evaluated && self.evaluate()?;
            self.save(improved)?;
        }
        self.finish()
    }

    /// Mean learning rate of the steps of `epoch`, from 0. (Of the schedule, so that a run that was
    /// interrupted within the epoch has it too.)
    fn mean_rate(&self, epoch: usize) -> f64 {
        let steps = epoch * self.epoch..(epoch + 1) * self.epoch;
        let factor = |step| self.params.schedule.factor(step, self.warmup, self.steps);
        self.params.learning_rate * steps.map(factor).sum::<f64>() / self.epoch as f64
    }

    /// One optimizer step.
    fn step(&mut self, samples: &[&Encoded], epoch: usize) -> Result<StepRecord, FinetuneError> {
        let begun = Instant::now();
        let done = self.progress.step;
        let factor = self.params.schedule.factor(done, self.warmup, self.steps);
        self.weights.clear()?;
        let passing = Passing {
            model: self.subject.model,
            lora: self.subject.lora,
            token_budget: self.params.token_budget,
            recompute: self.params.activation_checkpointing,
            seed: self.params.seed,
        };
        let passes = passing.accumulate(samples, done, &mut self.weights)?;
        let mut record = StepRecord {
            step: done + 1,
            steps: self.steps,
            epoch: epoch + 1,
            loss: passes.loss,
            grad_norm: 0.0,
            learning_rate: self.params.learning_rate * factor,
            samples: samples.len(),
            tokens: passes.tokens,
            targets: passes.targets,
            micro_batches: passes.micro_batches,
            seconds: 0.0,
        };
        if !passes.loss.is_finite() {
            return Err(self.diverged(&record, "the loss is not finite".to_owned()));
        }
        if let Some(ceiling) = self.ceiling(passes.loss).filter(|ceiling| passes.loss > *ceiling) {
            return Err(self.diverged(&record, format!("the loss is above {ceiling:.1}")));
        }
        let mut gradients = self.weights.gradients()?;
        let (norms, total) = norms(&gradients)?;
        if !total.is_finite() {
            let named = self.weights.iter().zip(&norms).find(|(_, norm)| !norm.is_finite());
            let of = named.map_or_else(
                || "all parameters together".to_owned(),
                |((name, _), _)| format!("`{name}`"),
            );
            let what = format!("the gradient norm of {of} is not finite");
            return Err(self.diverged(&record, what));
        }
        record.grad_norm = total;
        let scale = self.params.max_grad_norm.map_or(1.0, |highest| clip_scale(total, highest));
        let rate = record.learning_rate;
        self.optimizer.step(self.weights.changed(), &mut gradients, rate, scale)?;
        self.weights.publish()?;
        record.seconds = begun.elapsed().as_secs_f64();
        Ok(record)
    }

    /// The loss above which the run counts as diverged.
    fn ceiling(&self, loss: f64) -> Option<f64> {
        let blind = (self.subject.model.shape().vocab_size as f64).ln();
        let first = self.progress.losses.first().copied().unwrap_or(loss);
        self.params.loss_ceiling.map(|factor| factor * blind.max(first))
    }

    /// The error of a step whose loss or gradient cannot be used. A checkpoint of the weights that
    /// gave it is removed.
    fn diverged(&mut self, record: &StepRecord, what: String) -> FinetuneError {
        let StepRecord { step, steps, epoch, loss, learning_rate, .. } = *record;
        let weights = step - 1;
        match self.last_good(Some(weights)) {
            Ok(checkpoint) => FinetuneError::Diverged {
                step,
                steps,
                epoch,
                loss,
                learning_rate,
                what,
                weights,
                checkpoint,
            },
            Err(error) => error,
        }
    }

    /// The error of an update that left weights that cannot be used.
    fn spoilt(&mut self, what: String, loss: f64) -> FinetuneError {
        let step = self.progress.step;
        let factor = self.params.schedule.factor(step.saturating_sub(1), self.warmup, self.steps);
        match self.last_good(Some(step)) {
            Ok(checkpoint) => FinetuneError::Diverged {
                step,
                steps: self.steps,
                epoch: step.div_ceil(self.epoch),
                loss,
                learning_rate: self.params.learning_rate * factor,
                what,
                weights: step,
                checkpoint,
            },
            Err(error) => error,
        }
    }

    /// Refuses weights that are not finite.
    fn check_weights(&mut self) -> Result<(), FinetuneError> {
        match not_finite(&self.weights)? {
            Some(name) => {
                let loss = self.progress.losses.last().copied().unwrap_or_default();
                let what = format!("the update left values in `{name}` that are not finite");
                Err(self.spoilt(what, loss))
            }
            None => Ok(()),
        }
    }

    /// The newest checkpoint, that of step `bad` being removed first.
    fn last_good(&mut self, bad: Option<usize>) -> Result<Option<PathBuf>, FinetuneError> {
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(None) };
        // Before the first step the weights are those that came in.
        if let Some(step) = bad.filter(|&step| step > 0) {
            return checkpoints.discard(step);
        }
        Ok(checkpoints.list()?.into_iter().next().map(|(_, dir)| dir))
    }

    /// Evaluates on the held-out data, if there is any; whether the loss is the lowest so far.
    fn evaluate(&mut self) -> Result<bool, FinetuneError> {
        let Some((held_out, how)) = &self.validation else { return Ok(false) };
        let (begun, targets, keep_best) = (Instant::now(), held_out.targets, how.keep_best);
        let (model, budget) = (self.subject.model, self.params.token_budget);
        let loss = match self.subject.lora {
            Some(lora) => mean_loss(model, held_out, budget, &mut lora.tap())?,
            None => mean_loss(model, held_out, budget, &mut NoTap)?,
        };
        let step = self.progress.step;
        if !loss.is_finite() {
            let what = "the loss on the held-out data is not finite".to_owned();
            return Err(self.spoilt(what, loss));
        }
        let lowest = best(&self.progress.evaluations).map_or(f64::INFINITY, |best| best.loss);
        let record = EvalRecord {
            step,
            loss,
            best: loss < lowest,
            targets,
            seconds: begun.elapsed().as_secs_f64(),
        };
        self.progress.evaluations.push(record);
        tell(self.observer, EVALUATION, &record);
        if record.best && keep_best {
            self.best = Some(self.weights.snapshot()?);
        }
        Ok(record.best)
    }

    fn exhausted(&self) -> bool {
        let history = &self.progress.evaluations;
        self.validation.as_ref().is_some_and(|(_, how)| how.exhausted(history))
    }

    /// The step of the lowest evaluation, where its weights are kept.
    fn best_step(&self) -> Option<usize> {
        self.best.as_ref().and_then(|_| best(&self.progress.evaluations)).map(|best| best.step)
    }

    /// Writes a checkpoint if one is due; `improved` says that the weights are to be kept.
    fn save(&mut self, improved: bool) -> Result<(), FinetuneError> {
        let step = self.progress.step;
        let end = step == self.steps || self.exhausted();
        let kept = improved && self.best.is_some() && !end;
        let due = |checkpoints: &&mut Checkpoints| kept || checkpoints.due(step, self.epoch, end);
        if !self.checkpoints.as_ref().is_some_and(due) {
            return Ok(());
        }
        self.check_weights()?;
        let Some(checkpoints) = &mut self.checkpoints else { return Ok(()) };
        self.progress.seconds = self.earlier + self.begun.elapsed().as_secs_f64();
        let contents = Contents {
            subject: self.subject,
            weights: &mut self.weights,
            optimizer: &mut self.optimizer,
        };
        let path = checkpoints.write(&contents, &self.run, &self.progress)?;
        tell(
            self.observer,
            CHECKPOINT,
            &json!({ "step": step, "path": path.display().to_string() }),
        );
        Ok(())
    }

    fn finish(mut self) -> Result<TrainReport, FinetuneError> {
        self.observer.finish();
        let step = self.progress.step;
        self.check_weights()?;
        let best = self.best_step();
        if let Some(checkpoints) = &mut self.checkpoints {
            checkpoints.settle(best)?;
        }
        let restored = best.filter(|&best| best != step);
        if let (Some(_), Some(weights)) = (restored, &self.best) {
            self.weights.restore(weights)?;
        }
        let stopped_early = step < self.steps;
        let Progress { tokens, targets, epochs, losses, evaluations, .. } =
            std::mem::take(&mut self.progress);
        Ok(TrainReport {
            steps: step,
            tokens,
            targets,
            epochs,
            losses,
            evaluations,
            restored,
            stopped_early,
            resumed: self.resumed,
            seconds: self.earlier + self.begun.elapsed().as_secs_f64(),
            skipped: self.data.skipped,
            held_out_skipped: self.validation.map_or_else(Vec::new, |(rows, _)| rows.skipped),
        })
    }
}

/// What brings a gradient of norm `norm` down to `highest`, as `torch.nn.utils.clip_grad_norm_` does.
fn clip_scale(norm: f64, highest: f64) -> f64 {
    (highest / (norm + 1e-6)).min(1.0)
}
