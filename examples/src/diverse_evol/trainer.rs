//! Training a fresh model each round: built in, or by another program.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tamis::diverse_evol::{Failure, Metrics, Places, Task, TrainCommand, Trainer};
use tamis::finetune::{Checkpoints, Job, Lora};
use tamis::model::{CausalLm, LayerInfo, ModelShape};

use super::pool::SET;
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

    /// The rows of the training set, as they came: for the command, and for whoever wants to repeat it.
    fn write(&self, task: &Task<'_>) -> Result<PathBuf> {
        let round = task.work.parent().context("a task has no folder of its round")?;
        let files = self.pool.write(task.records, round, SET)?;
        files.into_iter().next().context("no file of training rows was written")
    }

    /// All weights, or an adapter that is added to them.
    fn fine_tune(&self, task: &Task<'_>) -> Result<Metrics> {
        let base = &self.flags.model.model;
        let mut model = self.flags.model.load()?;
        let adapter = self.flags.adapter();
        let mut lora = adapter.map(|params| Lora::new(params, &model)).transpose()?;
        let mut checkpoints =
            Checkpoints::open(task.work.join("checkpoints"), base, self.flags.checkpoints())?;
        let all = self.pool.encodings();
        let rows = all.at(task.records)?;
        let job = Job {
            lora: lora.as_mut(),
            checkpoints: Some(&mut checkpoints),
            ..Job::new(&mut model, &rows)
        };
        let mut bars = Bars::training("train");
        let report = self.flags.training().check()?.run(job, &mut bars)?;
        if let Some(lora) = &lora {
            lora.merge(&mut model)?;
        }
        model.save_pretrained(task.model)?;
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
    fn call(&self, command: &TrainCommand, task: &Task<'_>, data: &Path) -> Result<Metrics> {
        let work = task.work.join("work");
        std::fs::create_dir_all(&work).with_context(|| format!("making {}", work.display()))?;
        let log = task.work.with_file_name("train.log");
        crate::note!("train: {command}, its output goes to {}", log.display());
        let model = &self.flags.model.model;
        // Not yet where the loop wants it, and removes what it finds: the command of an interrupted
        // run may still be writing here.
        let out = &task.work.join("model");
        command.run(&Places { data, out, model, work: &work }, &log)?;
        let see = || format!("the training command ended well, but see {}", log.display());
        self.check(out).with_context(see)?;
        std::fs::rename(out, task.model)
            .with_context(|| format!("renaming {} to {}", out.display(), task.model.display()))?;
        Ok(Metrics::new())
    }

    /// Refuses a folder without a model, or with another kind of model than the base.
    fn check(&self, folder: &Path) -> Result<()> {
        ensure!(
            folder.is_dir(),
            "it left no folder {}; the trained model has to be there",
            folder.display()
        );
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
        let metrics = self.write(task).and_then(|data| match &self.flags.train_command {
            Some(command) => self.call(command, task, &data),
            None => self.fine_tune(task),
        });
        metrics.map_err(|error| format!("{error:#}").into())
    }
}
