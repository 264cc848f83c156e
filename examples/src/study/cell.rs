//! One cell of the grid: train on a choice, answer the test, keep what came out.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tamis::artifact::{NoProgress, StoreWriter};
use tamis::dataset::{Encoded, Encoder, Encodings};
use tamis::finetune::TrainParams;
use tamis::model::{CausalLm, Finish, Generator, NoTap, Parameters};

use super::Texts;
use crate::batches::mean_losses;
use crate::one_line;

/// What one training run led to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cell {
    /// Rows of the pool it was trained on.
    pub chosen: Vec<usize>,
    /// Learning rate; 0 for the starting point itself.
    pub learning_rate: f64,
    /// Mean training loss of each epoch, nats per token.
    pub losses: Vec<f64>,
    /// Mean over the validation rows of their loss, in nats per token.
    pub validation: f64,
    /// Answer to each test prompt, in one line.
    pub answers: Vec<String>,
    /// Share of the answers that ended by themselves.
    pub ended: f64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Training that did not diverge on its way, but at its end.
#[derive(Clone, Copy, Debug)]
pub struct NotFinite {
    /// The validation loss.
    pub validation: f64,
    /// Learning rate.
    pub learning_rate: f64,
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { validation, learning_rate } = self;
        write!(
            f,
            "after training at learning rate {learning_rate:e} the validation loss is {validation}; \
             lower --learning-rates"
        )
    }
}

impl std::error::Error for NotFinite {}

/// Runs cells and keeps them.
#[derive(Debug)]
pub struct Grid<'a> {
    /// Finished cells by name.
    pub store: StoreWriter,
    /// The weights every run begins with.
    pub start: Parameters,
    /// Settings of training.
    pub training: TrainParams,
    /// The pool.
    pub data: &'a [Encoded],
    /// Rows of the validation loss.
    pub validation: &'a [Encoded],
    /// The test.
    pub texts: &'a Texts,
    /// How answers are written.
    pub generator: Generator,
    /// What turns tokens into text.
    pub encoder: &'a Encoder,
}

impl Grid<'_> {
    /// A cell that an earlier run finished.
    ///
    /// # Errors
    /// A damaged one.
    pub fn known(&self, name: &str) -> Result<Option<Cell>> {
        if !self.store.has(name) {
            return Ok(None);
        }
        let cell = serde_json::from_slice(&self.store.read(name)?);
        Ok(Some(cell.with_context(|| format!("reading cell {name}"))?))
    }

    /// Keeps a cell under a name.
    ///
    /// # Errors
    /// A full disk.
    pub fn keep(&mut self, name: &str, cell: &Cell) -> Result<()> {
        Ok(self.store.write(name, &serde_json::to_vec(cell)?)?)
    }

    /// Gives `model` the weights of the starting point.
    ///
    /// # Errors
    /// A model of another shape.
    pub fn restore(&self, model: &dyn CausalLm) -> Result<()> {
        Ok(model.parameters().copy_from(&self.start)?)
    }

    /// Trains `model` from the starting point on the `chosen` rows and lets it answer the test; no
    /// training without rows.
    ///
    /// # Errors
    /// A run that diverges ([`NotFinite`] if at its very end), or what the model reports.
    pub fn run(
        &self,
        model: &mut dyn CausalLm,
        chosen: Vec<usize>,
        learning_rate: f64,
        seed: u64,
    ) -> Result<Cell> {
        let begun = Instant::now();
        self.restore(model)?;
        let mut losses = Vec::new();
        if !chosen.is_empty() {
            let rows: Vec<Encoded> = chosen.iter().map(|&row| self.data[row].clone()).collect();
            let trainer = TrainParams { learning_rate, seed, ..self.training.clone() }.check()?;
            let report = trainer.train(model, &Encodings::of(&rows), &mut NoProgress)?;
            losses.extend(report.epochs.iter().map(|epoch| epoch.loss));
        }
        let of_rows = mean_losses(model, self.validation, self.training.token_budget)?;
        let validation = of_rows.iter().sum::<f64>() / of_rows.len().max(1) as f64;
        if !validation.is_finite() {
            return Err(NotFinite { validation, learning_rate }.into());
        }
        let prompts = &self.texts.prompts;
        let texts = self.generator.generate(model, prompts, &mut NoTap, &mut |_| {})?;
        let ended = texts.iter().filter(|text| text.finish == Finish::Stop).count();
        let tokenizer = self.encoder.tokenizer();
        let answers = texts
            .iter()
            .map(|text| Ok(one_line(&tokenizer.decode(&text.ids)?)))
            .collect::<Result<Vec<_>>>()?;
        Ok(Cell {
            chosen,
            learning_rate,
            losses,
            validation,
            ended: ended as f64 / answers.len().max(1) as f64,
            answers,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }
}
