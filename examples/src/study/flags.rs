//! The flags of `study`.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use serde::Serialize;
use tamis::finetune::TrainParams;
use tamis::model::GenerateParams;

use super::Method;
use crate::{ModelFlags, TextFlags};

/// Compare ways of choosing training data by what the model trained on the choice can do.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(
    version,
    after_help = "\
Methods: random, longest, perplexity (lowest), embedding (k-means over mean hidden states),
gdig-top (K-FAC, no diversity step), gdig-kfac, gdig-identity. Options follow a colon:
gdig-kfac:clusters=64, gdig-kfac:seeds=16, embedding:clusters=10.
A repeat varies the order of training and what is drawn by lot (the random choice, clusters, members
of clusters); scores and the adaptation behind them are those of --seed in all repeats.
For every budget the learning rate is the one of --learning-rates with the lowest validation loss
after training on a random choice; all methods use it. The same command goes on after an
interruption, and more methods, budgets or repeats may be asked for in the same --out."
)]
pub struct Flags {
    /// The starting point of every training run.
    #[command(flatten)]
    pub model: ModelFlags,
    /// How rows become tokens.
    #[command(flatten)]
    pub text: TextFlags,
    /// Rows to choose from
    #[arg(long, value_name = "FILE")]
    pub pool: PathBuf,
    /// Part of the pool file that is used, such as 15000..17000 [default: all]
    #[arg(long, value_name = "FROM..TO", value_parser = rows)]
    pub rows: Option<Range<usize>>,
    /// Give this share of the pool the answer of another row: noise whose place is known
    #[arg(long, default_value_t = 0.0)]
    pub mismatch: f64,
    /// Clean rows: the first --seed-rows are the seeds of influence, the next --valid-rows validate
    #[arg(long, value_name = "FILE")]
    pub held_out: PathBuf,
    /// Seeds of influence
    #[arg(long, default_value_t = 64)]
    pub seed_rows: usize,
    /// Rows of the validation loss
    #[arg(long, default_value_t = 300)]
    pub valid_rows: usize,
    /// Rows whose sources are answered and compared with their answers
    #[arg(long, value_name = "FILE")]
    pub test: PathBuf,
    /// Use only the first so many rows of --test
    #[arg(long)]
    pub test_rows: Option<usize>,
    /// Folder for results and for everything needed to go on after an interruption
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Folder for table, plots, record and answers, to keep those of an earlier command [default: --out]
    #[arg(long, value_name = "DIR")]
    pub results: Option<PathBuf>,

    /// Ways of choosing
    #[arg(long, value_delimiter = ',', default_value = "random,perplexity,gdig-kfac")]
    pub methods: Vec<Method>,
    /// Rows to choose
    #[arg(long, value_delimiter = ',', default_value = "250,500,1000")]
    pub budgets: Vec<usize>,
    /// Training runs of each method and budget, with seeds 0, 1, …
    #[arg(long, default_value_t = 3)]
    pub repeats: usize,
    /// Learning rates to choose from
    #[arg(long, value_delimiter = ',', default_value = "3e-5,1e-4,3e-4")]
    pub learning_rates: Vec<f64>,
    /// Passes over the chosen rows
    #[arg(long, default_value_t = 3)]
    pub epochs: usize,
    /// Samples per optimizer step, also of the adaptation
    #[arg(long, default_value_t = 32)]
    pub batch_size: usize,

    /// Passes over the pool of the adaptation to it, where a method takes gradients
    #[arg(long, default_value_t = 3)]
    pub adapt_epochs: usize,
    /// Learning rate of the adaptation
    #[arg(long, default_value_t = 3e-4)]
    pub adapt_lr: f64,
    /// A relaxed rule of G-DIG lets through this many times the budget
    #[arg(long, default_value_t = 1.25)]
    pub headroom: f64,
    /// Longest answer in tokens
    #[arg(long, default_value_t = 64)]
    pub max_new_tokens: usize,
    /// Padded tokens of one batch in training
    #[arg(long, default_value_t = 4096)]
    pub token_budget: usize,
    /// Seed of the mismatch and of the adaptation
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

impl Flags {
    /// Refuses values that no study can have.
    ///
    /// # Errors
    /// The first one, with what was expected.
    pub fn check(&self, pool: usize) -> Result<()> {
        ensure!(self.repeats > 0, "--repeats is 0, but must be at least 1");
        ensure!(
            (0.0..=1.0).contains(&self.mismatch),
            "--mismatch is {}, but must be between 0 and 1",
            self.mismatch
        );
        ensure!(
            self.headroom >= 1.0 && self.headroom.is_finite(),
            "--headroom is {}, but must be a finite number of at least 1",
            self.headroom
        );
        distinct("--learning-rates", &self.learning_rates)?;
        distinct("--budgets", &self.budgets)?;
        distinct("--methods", &self.methods)?;
        if let Some(budget) = self.budgets.iter().find(|&&budget| budget == 0 || budget > pool) {
            bail!("--budgets holds {budget}, but only 1 to {pool} rows of the pool can be chosen");
        }
        for method in &self.methods {
            if method.seeds.is_some_and(|seeds| seeds > self.seed_rows) {
                bail!("{method} needs more seeds than --seed-rows {}", self.seed_rows);
            }
        }
        Ok(())
    }

    /// Settings of a training run, but for its learning rate and seed.
    pub fn training(&self) -> TrainParams {
        TrainParams {
            epochs: self.epochs,
            batch_size: self.batch_size,
            token_budget: self.token_budget,
            ..TrainParams::default()
        }
    }

    /// Settings of the adaptation to the whole pool.
    pub fn adaptation(&self) -> TrainParams {
        TrainParams {
            epochs: self.adapt_epochs,
            learning_rate: self.adapt_lr,
            seed: self.seed,
            ..self.training()
        }
    }

    /// Settings of the answers.
    pub fn answering(&self, end: Option<u32>) -> GenerateParams {
        GenerateParams {
            max_new_tokens: self.max_new_tokens,
            stop: end.into_iter().collect(),
            ..GenerateParams::default()
        }
    }
}

/// Refuses an empty list, and one that holds the same twice: its runs would count twice.
fn distinct<T: PartialEq + std::fmt::Display>(flag: &str, list: &[T]) -> Result<()> {
    ensure!(!list.is_empty(), "{flag} is empty");
    for (place, value) in list.iter().enumerate() {
        ensure!(!list[..place].contains(value), "{flag} holds {value} twice");
    }
    Ok(())
}

/// A range written `15000..17000`.
fn rows(text: &str) -> Result<Range<usize>, String> {
    let wrong = || format!("`{text}` is no range of rows such as 15000..17000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) if from < to => Ok(from..to),
        _ => Err(wrong()),
    }
}
