//! The flags of `lds`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use serde::Serialize;
use tamis::finetune::TrainParams;
use tamis::gradients::{Labels, PassParams};
use tamis::kfac::{Damping, FitParams};
use tamis::model::{LayerPattern, Reduction};

use super::Strategy;
use crate::gdig::LabelKind;
use crate::{ModelFlags, ScheduleKind, TextFlags};

/// How well do scores of samples foretell what training on them does? The linear datamodelling
/// score.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(
    version,
    after_help = "\
Strategies: random, gradient-cosine, embedding-cosine (mean hidden states), identity (inner products
of gradients), kfac. All are computed at the model that was fine-tuned on the whole pool.
The same command goes on after an interruption, and more --subsets, --repeats or --strategies may be
asked for in the same --out: only what is missing is done."
)]
pub struct Flags {
    /// The starting point of every training run.
    #[command(flatten)]
    pub model: ModelFlags,
    /// How rows become tokens.
    #[command(flatten)]
    pub text: TextFlags,
    /// Samples to train on
    #[arg(long, value_name = "FILE")]
    pub pool: PathBuf,
    /// Samples whose losses are measured
    #[arg(long, value_name = "FILE")]
    pub queries: PathBuf,
    /// Folder for results and for everything needed to go on after an interruption
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Ways to score
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "random,embedding-cosine,gradient-cosine,identity,diagonal,kfac,ekfac"
    )]
    pub strategies: Vec<Strategy>,

    /// Random halves of the pool to train on
    #[arg(long, default_value_t = 100)]
    pub subsets: usize,
    /// Trainings on each half, in other orders; a query's loss is their mean
    #[arg(long, default_value_t = 1)]
    pub repeats: usize,
    /// Passes over the data of a training
    #[arg(long, default_value_t = 10)]
    pub epochs: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 3e-4)]
    pub learning_rate: f64,
    /// How the learning rate goes after the warm-up: linear, cosine or constant
    #[arg(long, value_enum, default_value = "linear")]
    pub schedule: ScheduleKind,
    /// Samples per optimizer step
    #[arg(long, default_value_t = 32)]
    pub batch_size: usize,

    /// Layers whose gradients count: a regular expression over their names [default: all but the
    /// head]
    #[arg(long, default_value_t)]
    pub layers: LayerPattern,
    /// Damping of curvature, relative to each layer's mean eigenvalue (0.1), absolute:D or
    /// tikhonov:C
    #[arg(long, default_value_t)]
    pub damping: Damping,
    /// Labels for the curvature: sampled from the model (true Fisher) or the data's
    #[arg(long, value_enum, default_value = "sampled")]
    pub labels: LabelKind,

    /// Padded tokens of one batch
    #[arg(long, default_value_t = 4096)]
    pub token_budget: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

impl Flags {
    /// Refuses values that no bank can have.
    ///
    /// # Errors
    /// The first one, with what was expected.
    pub fn check(&self, pool: usize) -> Result<()> {
        ensure!(self.subsets >= 3, "--subsets is {}, but must be at least 3", self.subsets);
        ensure!(self.repeats > 0, "--repeats is 0, but must be at least 1");
        ensure!(pool >= 4, "the pool has {pool} usable rows, but halves of it need at least 4");
        self.damping.check()?;
        ensure!(!self.strategies.is_empty(), "--strategies is empty");
        for (place, strategy) in self.strategies.iter().enumerate() {
            let twice = self.strategies[..place].contains(strategy);
            ensure!(!twice, "--strategies holds {strategy} twice");
        }
        Ok(())
    }

    /// Settings of every training, but for the seed of its order.
    ///
    /// Gradients are not clipped: a step over a steep batch would be shortened and its samples
    /// count less than others, which no score here knows of.
    pub fn training(&self) -> TrainParams {
        TrainParams {
            epochs: self.epochs,
            learning_rate: self.learning_rate,
            schedule: self.schedule.into(),
            batch_size: self.batch_size,
            token_budget: self.token_budget,
            max_grad_norm: None,
            seed: self.seed,
            ..TrainParams::default()
        }
    }

    /// Settings of the gradient pass. A sample's loss is the *sum* over its targets: training
    /// averages over the targets of a step, so a sample weighs as much as it has targets.
    pub fn passing(&self) -> PassParams {
        let (reduction, token_budget) = (Reduction::Sum, self.token_budget);
        PassParams { reduction, token_budget, ..PassParams::default() }
    }

    /// Settings of the curvature fit.
    pub fn fitting(&self) -> FitParams {
        let labels = match self.labels {
            LabelKind::Sampled => Labels::Sampled { seed: self.seed },
            LabelKind::Data => Labels::Data,
        };
        FitParams { labels, token_budget: self.token_budget, ..FitParams::default() }
    }
}
