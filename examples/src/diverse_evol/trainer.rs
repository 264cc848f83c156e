//! Training a fresh model each round: built in, or by another program.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tamis::dataset::Encoded;
use tamis::diverse_evol::{Failure, Metrics, Places, Task, TrainCommand, Trainer};
use tamis::finetune::{Checkpoints, Job, Lora};
use tamis::model::{CausalLm, LayerInfo, ModelShape};

use super::{Candidates, Flags};
use crate::{Bars, ModelFlags};

/// Trains with `tamis-finetune` or with a command.
#[derive(Debug)]
pub struct AnyTrainer<'a> {
    flags: &'a Flags,
    pool: &'a Candidates<'a>,
    /// What a trained model has to look like.
    shape: ModelShape,
    layers: Vec<LayerInfo>,
}

impl<'a> AnyTrainer<'a> {
    /// Puts settings and rows together, and checks them against the base model.
    ///
    /// # Errors
    /// Settings outside their range, or an adapter that fits no layer.
    pub fn new(flags: &'a Flags, pool: &'a Candidates<'a>, base: &dyn CausalLm) -> Result<Self> {
        if flags.train_command.is_none() {
            flags.training().check()?;
            flags.adapter().map(|params| Lora::new(params, base)).transpose()?;
        }
        Ok(Self { flags, pool, shape: base.shape(), layers: base.layers().to_vec() })
    }

    /// All weights, or an adapter that is added to them.
    fn fine_tune(&self, task: &Task<'_>) -> Result<Metrics> {
        let base = &self.flags.model.model;
        let rows: Vec<Encoded> =
            task.records.iter().map(|&record| self.pool.samples[record].clone()).collect();
        let mut model = self.flags.model.load()?;
        let adapter = self.flags.adapter();
        let mut lora = adapter.map(|params| Lora::new(params, model.as_ref())).transpose()?;
        let mut checkpoints =
            Checkpoints::open(task.work.join("checkpoints"), base, self.flags.checkpoints())?;
        let job = Job {
            lora: lora.as_mut(),
            checkpoints: Some(&mut checkpoints),
            ..Job::new(model.as_mut(), &rows)
        };
        let mut bars = Bars::training("train");
        let report = self.flags.training().check()?.run(job, &mut bars)?;
        if let Some(lora) = &lora {
            lora.merge(model.as_mut())?;
        }
        model.parameters().save_pretrained(base, task.model)?;
        let mut metrics = Metrics::from([
            ("steps".to_owned(), report.steps as f64),
            ("target_tokens".to_owned(), report.targets as f64),
        ]);
        if let Some(last) = report.epochs.last() {
            metrics.insert("train_loss".to_owned(), last.loss);
        }
        Ok(metrics)
    }

    /// Any program; what it leaves is looked at before it is believed.
    fn call(&self, command: &TrainCommand, task: &Task<'_>) -> Result<Metrics> {
        let files = self.pool.write(task.records, task.work, "train")?;
        let data = files.first().context("no file of training rows was written")?;
        let work = task.work.join("work");
        std::fs::create_dir_all(&work).with_context(|| format!("making {}", work.display()))?;
        let log = task.work.with_file_name("train.log");
        eprintln!("train: {command}, its output goes to {}", log.display());
        let model = &self.flags.model.model;
        command.run(&Places { data, out: task.model, model, work: &work }, &log)?;
        // A folder that is not there at all is told by the loop.
        if task.model.is_dir() {
            self.check(task.model).with_context(|| {
                format!("the training command ended well, but see {}", log.display())
            })?;
        }
        Ok(Metrics::new())
    }

    /// Refuses a folder without a model, or with another kind of model than the base.
    fn check(&self, folder: &Path) -> Result<()> {
        let found = ModelFlags { model: folder.to_owned(), ..self.flags.model.clone() }.load()?;
        ensure!(
            found.shape() == self.shape && found.layers() == self.layers,
            "{} holds a model of another shape than the base: {}, expected {}",
            folder.display(),
            words(&found.shape(), found.layers().len()),
            words(&self.shape, self.layers.len())
        );
        Ok(())
    }
}

fn words(shape: &ModelShape, layers: usize) -> String {
    let ModelShape { vocab_size, hidden_size, max_positions, .. } = shape;
    format!(
        "{layers} linear layers, width {hidden_size}, a vocabulary of {vocab_size}, at most \
         {max_positions} tokens"
    )
}

impl Trainer for AnyTrainer<'_> {
    fn description(&self) -> Value {
        let (encoder, dtype) =
            (self.pool.encoder.description(), self.flags.model.dtype.to_string());
        match &self.flags.train_command {
            Some(command) => json!({ "command": command }),
            None => json!({
                "train": self.flags.training(),
                "lora": self.flags.adapter(),
                "encoder": encoder,
                "dtype": dtype,
            }),
        }
    }

    fn train(&mut self, task: &Task<'_>) -> Result<Metrics, Failure> {
        let metrics = match &self.flags.train_command {
            Some(command) => self.call(command, task),
            None => self.fine_tune(task),
        };
        metrics.map_err(|error| format!("{error:#}").into())
    }
}
