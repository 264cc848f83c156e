//! A run's metrics as lines of JSON.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};
use tamis_artifact::{Progress, Stage, write_atomic};

use crate::observer::{EVALUATION, RESUMED, STEP};
use crate::{EvalRecord, FinetuneError, StepRecord};

/// Writes one line of JSON per optimizer step and evaluation, as they come.
///
/// ```json
/// {"step":1,"epoch":1,"loss":3.12,"learning_rate":0.0003,"grad_norm":1.8,"tokens":912,"targets":455,"seconds":0.41,"tokens_per_second":2224.4}
/// {"step":1,"eval_loss":3.05,"best":true,"eval_targets":9120,"seconds":2.2}
/// ```
///
/// A run that goes on from a checkpoint keeps the lines up to its step and drops those after it,
/// which it is going to write again: no line is there twice. A run that begins anew begins a new
/// file.
///
/// What goes wrong with the file does not stop training; [`finish`](MetricsFile::finish) tells it.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: Option<File>,
    error: Option<FinetuneError>,
}

impl MetricsFile {
    /// Metrics go to `path` once the run begins.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), file: None, error: None }
    }

    /// Ends the file.
    ///
    /// # Errors
    /// The first thing that went wrong with it.
    pub fn finish(mut self) -> Result<(), FinetuneError> {
        if let Some(file) = self.file.take() {
            let path = self.path.clone();
            self.attempt(|_| file.sync_all().map_err(FinetuneError::io("write", path)));
        }
        self.error.map_or(Ok(()), Err)
    }

    /// Remembers the first error; after it nothing is written any more.
    fn attempt(&mut self, action: impl FnOnce(&mut Self) -> Result<(), FinetuneError>) {
        if self.error.is_none() {
            self.error = action(self).err();
        }
    }

    /// Keeps the lines up to `step` and opens the file behind them.
    fn keep(&mut self, step: usize) {
        self.attempt(|this| {
            let path = &this.path;
            let text = match fs::read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                text => text.map_err(FinetuneError::io("read", path))?,
            };
            let of = |line: &&[u8]| {
                // A kill may have torn the last line.
                if !line.ends_with(b"\n") {
                    return false;
                }
                let line: Option<Value> = serde_json::from_slice(line).ok();
                line.is_some_and(|line| line["step"].as_u64().is_some_and(|at| at <= step as u64))
            };
            let lines = text.split_inclusive(|&byte| byte == b'\n');
            let kept: Vec<u8> = lines.filter(of).flatten().copied().collect();
            write_atomic(path, &kept)?;
            let file = OpenOptions::new().append(true).open(path);
            this.file = Some(file.map_err(FinetuneError::io("open", path))?);
            Ok(())
        });
    }

    /// A new file in place of an old one.
    fn begin(&mut self) {
        self.attempt(|this| {
            let file = File::create(&this.path).map_err(FinetuneError::io("create", &this.path))?;
            this.file = Some(file);
            Ok(())
        });
    }

    /// Adds a line; the first one, unless the run was resumed, begins the file.
    fn line(&mut self, value: &Value) {
        if self.file.is_none() {
            self.begin();
        }
        self.attempt(|this| match &mut this.file {
            Some(file) => {
                let line = format!("{value}\n");
                file.write_all(line.as_bytes()).map_err(FinetuneError::io("write", &this.path))
            }
            None => Ok(()),
        });
    }
}

impl Progress for MetricsFile {
    fn start(&mut self, _: &Stage<'_>) {}

    fn advance(&mut self, _: u64) {}

    fn record(&mut self, kind: &str, record: &Value) {
        if kind == RESUMED
            && let Some(step) = record["step"].as_u64()
        {
            self.keep(step as usize);
        } else if kind == STEP
            && let Ok(step) = StepRecord::deserialize(record)
        {
            self.step(&step);
        } else if kind == EVALUATION
            && let Ok(evaluation) = EvalRecord::deserialize(record)
        {
            self.evaluation(&evaluation);
        }
    }
}

impl MetricsFile {
    fn step(&mut self, record: &StepRecord) {
        self.line(&json!({
            "step": record.step,
            "epoch": record.epoch,
            "loss": record.loss,
            "learning_rate": record.learning_rate,
            "grad_norm": record.grad_norm,
            "tokens": record.tokens,
            "targets": record.targets,
            "seconds": record.seconds,
            "tokens_per_second": record.tokens as f64 / record.seconds.max(1e-9),
        }));
    }

    fn evaluation(&mut self, record: &EvalRecord) {
        self.line(&json!({
            "step": record.step,
            "eval_loss": record.loss,
            "best": record.best,
            "eval_targets": record.targets,
            "seconds": record.seconds,
        }));
    }
}
