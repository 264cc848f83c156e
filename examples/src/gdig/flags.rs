//! The flags of `gdig` and what they mean to the libraries.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use tamis::clustering::Within;
use tamis::dataset::Encoder;
use tamis::finetune::TrainParams;
use tamis::gradients::{Labels, PassParams, ProjectionSpec, RowType};
use tamis::influence::Rule;
use tamis::kfac::{CurvatureKind, Damping, FitParams, NonFinite};
use tamis::model::{CausalLm, LayerPattern, Model, Reduction};

use crate::{ExportFlags, ModelFlags, ScheduleKind, TextFlags};

/// Seeds' preconditioned gradients that fit into this are held whole by `--scores auto`.
const SEED_MEMORY: u64 = 4 << 30;

/// Choose instruction data that helps on a seed set and is diverse, by the model's own gradients.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(
    version,
    after_help = "\
The rows of --pool and --seeds may be translation pairs, instructions or chats (see --format).
Rules: auto (every seed helped; relaxed if too few rows pass, and says so), all, share:F,
mean, normalised, top:K. Another rule, --clusters, --budget or --draw-seed in the same --out uses
the finished pass; so do other --seeds with --scores stored.
Memory: with --scores fresh the seeds' gradients are held whole; --scores stored compares
projected gradients instead, which is approximate but small."
)]
pub struct Flags {
    /// The model.
    #[command(flatten)]
    pub model: ModelFlags,
    /// How rows become tokens.
    #[command(flatten)]
    pub text: TextFlags,
    /// Candidates to choose from
    #[arg(long, value_name = "FILE")]
    pub pool: PathBuf,
    /// A few samples of the quality and kind that is wanted
    #[arg(long, value_name = "FILE")]
    pub seeds: PathBuf,
    /// Rows to choose
    #[arg(long)]
    pub budget: usize,
    /// Folder for results and for everything needed to go on after an interruption
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Further forms of the results.
    #[command(flatten)]
    pub exports: ExportFlags,

    /// Epochs of fine-tuning on the raw pool before gradients are taken
    #[arg(long, default_value_t = 3)]
    pub adapt_epochs: usize,
    /// Highest learning rate of the adaptation; 1e-5 suits billions of parameters, 3e-4 a few millions
    #[arg(long, default_value_t = 1e-5)]
    pub adapt_lr: f64,
    /// Samples per optimizer step of the adaptation
    #[arg(long, default_value_t = 64)]
    pub adapt_batch: usize,
    /// How the learning rate goes after the warm-up: linear, cosine or constant
    #[arg(long, value_enum, default_value = "linear")]
    pub adapt_schedule: ScheduleKind,
    /// The model given is fine-tuned on this pool already: do not adapt it
    #[arg(long)]
    pub adapted: bool,

    /// Layers whose gradients count: a regular expression over their names [default: all but the head]
    #[arg(long, default_value_t)]
    pub layers: LayerPattern,
    /// kfac, ekfac (a second pass fits its eigenvalues anew), diagonal, or identity (plain inner
    /// products of gradients)
    #[arg(long, default_value_t)]
    pub curvature: CurvatureKind,
    /// Relative to each layer's mean eigenvalue (0.1), absolute:D or tikhonov:C
    #[arg(long, default_value_t)]
    pub damping: Damping,
    /// Labels for the curvature: sampled from the model (true Fisher) or the data's
    #[arg(long, value_enum, default_value = "sampled")]
    pub labels: LabelKind,
    /// Samples to fit the curvature on, drawn from the pool [default: all of it]
    #[arg(long)]
    pub curvature_samples: Option<NonZeroUsize>,
    /// Layers whose curvature is held in memory at a time, each group in passes of its own [default: all]
    #[arg(long)]
    pub curvature_layers: Option<NonZeroUsize>,
    /// Leave samples with values that are not finite out of the curvature instead of stopping there
    #[arg(long)]
    pub skip_non_finite: bool,
    /// Stored form of a gradient: `OUTxIN` per layer, `gaussian:OUTxIN`, `pca:OUTxIN` (leading
    /// eigenvectors of the curvature), sparse:DIM or full
    #[arg(long, default_value_t)]
    pub projection: ProjectionSpec,
    /// Number type of stored rows: f16, bf16 or f32; packed int8, int4 or sign (8, 4 or 1 bits)
    #[arg(long, default_value_t)]
    pub row_type: RowType,
    /// Compare whole gradients (fresh) or projected ones (stored); auto: whole if the seeds' take
    /// at most 4 GiB
    #[arg(long, value_enum, default_value = "auto")]
    pub scores: ScoreKind,
    /// Loss of a sample: mean over its target tokens, or sum
    #[arg(long, value_enum, default_value = "mean")]
    pub loss: LossKind,

    /// Which candidates count as helpful
    #[arg(long, default_value_t)]
    pub rule: Rule,
    /// A relaxed rule lets through this many times the budget, so that clusters have a choice
    #[arg(long, default_value_t = 1.25)]
    pub headroom: f64,
    /// Gradient clusters [default: square root of the number of helpful candidates]
    #[arg(long)]
    pub clusters: Option<NonZeroUsize>,
    /// Cluster gradients as they are, not scaled to length 1 (clusters then follow text length)
    #[arg(long)]
    pub keep_norms: bool,
    /// Which member of a cluster is drawn: random, best-score or nearest
    #[arg(long, default_value = "random")]
    pub within: Within,

    /// Padded tokens of one batch
    #[arg(long, default_value_t = 2048)]
    pub token_budget: usize,
    /// Samples written (and redone after an interruption) together
    #[arg(long, default_value_t = 512)]
    pub shard_rows: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Seed of clustering and drawing alone: another draw from the same scores [default: --seed]
    #[arg(long)]
    pub draw_seed: Option<u64>,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// Which labels the curvature is fitted with.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// The model's own draws.
    Sampled,
    /// The data's.
    Data,
}

/// Which gradients are compared.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScoreKind {
    /// Whole ones where the seeds' fit into memory.
    Auto,
    /// Whole ones.
    Fresh,
    /// Projected ones.
    Stored,
}

/// How token losses become a sample's.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LossKind {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
}

impl Flags {
    /// Loads the model and checks that it can embed every token of its tokenizer.
    ///
    /// # Errors
    /// What the folder lacks, or a tokenizer that does not fit the model.
    pub fn load(&self, encoder: &Encoder) -> Result<Model> {
        let model = self.model.load()?;
        let (highest, rows) = (encoder.tokenizer().max_id() as usize, model.shape().vocab_size);
        ensure!(
            highest < rows,
            "the tokenizer in {} has ids up to {highest}, but the model embeds only {rows} tokens",
            self.model.model.display()
        );
        Ok(model)
    }

    /// Settings of the adaptation.
    pub fn training(&self) -> TrainParams {
        TrainParams {
            epochs: self.adapt_epochs,
            learning_rate: self.adapt_lr,
            batch_size: self.adapt_batch,
            schedule: self.adapt_schedule.into(),
            token_budget: self.token_budget,
            seed: self.seed,
            ..TrainParams::default()
        }
    }

    /// Settings of the curvature fit.
    pub fn fitting(&self) -> FitParams {
        let labels = match self.labels {
            LabelKind::Sampled => Labels::Sampled { seed: self.seed },
            LabelKind::Data => Labels::Data,
        };
        let non_finite = if self.skip_non_finite { NonFinite::Skip } else { NonFinite::Refuse };
        FitParams { labels, token_budget: self.token_budget, non_finite, ..FitParams::default() }
    }

    /// Settings of the gradient pass.
    pub fn passing(&self) -> PassParams {
        let reduction = match self.loss {
            LossKind::Mean => Reduction::Mean,
            LossKind::Sum => Reduction::Sum,
        };
        PassParams { reduction, token_budget: self.token_budget, shard_rows: self.shard_rows }
    }

    /// Whether whole gradients are compared, given the bytes the seeds' take.
    pub fn fresh(&self, bytes: u64) -> bool {
        match self.scores {
            ScoreKind::Auto => bytes <= SEED_MEMORY,
            ScoreKind::Fresh => true,
            ScoreKind::Stored => false,
        }
    }
}
