//! The flags of `finetune` and what they mean to the libraries.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use tamis::finetune::{CheckpointParams, EvalParams, Every, LoraParams, TrainParams};
use tamis::model::LayerPattern;

use crate::{ModelFlags, ScheduleKind, TextFlags};

/// Fine-tune a language model on instruction data: all its weights, or a low-rank adapter.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(
    version,
    after_help = "\
Run the same command again after an interruption and it goes on from the newest checkpoint in
--out; the result is, byte for byte, that of a run without one. A checkpoint that belongs to
other settings, another model or other data is refused, naming what differs.

With --dtype bf16 the weights are copies of f32 masters, which are what is updated; f16 is
refused. The learning rate: 1e-5 suits billions of parameters, 3e-4 a few millions; adapters
usually take more.

Examples:
  finetune --model M --train selected.jsonl --out out/ft --learning-rate 3e-4
  finetune --model M --train a.jsonl --valid b.jsonl --out out/lora --lora-rank 16 \\
      --lora-alpha 32 --learning-rate 2e-3 --eval-every 50 --patience 3"
)]
pub struct Flags {
    /// The model.
    #[command(flatten)]
    pub model: ModelFlags,
    /// How rows become tokens.
    #[command(flatten)]
    pub text: TextFlags,
    /// Rows to train on
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// Held-out rows to evaluate on
    #[arg(long, value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// Folder for the trained model, metrics, report and checkpoints
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// Passes over the data
    #[arg(long, default_value_t = 3)]
    pub epochs: usize,
    /// Highest learning rate
    #[arg(long, default_value_t = 1e-5)]
    pub learning_rate: f64,
    /// Samples per optimizer step
    #[arg(long, default_value_t = 64)]
    pub batch_size: usize,
    /// How the learning rate goes after the warm-up
    #[arg(long, value_enum, default_value = "linear")]
    pub schedule: ScheduleKind,
    /// Share of all steps during which the learning rate rises from 0
    #[arg(long, default_value_t = 0.03)]
    pub warmup_ratio: f64,
    /// Decoupled weight decay of matrices
    #[arg(long, default_value_t = 0.0)]
    pub weight_decay: f64,
    /// Gradients with a larger norm are scaled down to it; 0 leaves them alone
    #[arg(long, default_value_t = 1.0)]
    pub max_grad_norm: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Padded tokens of one forward pass; a step takes as many passes as it needs
    #[arg(long, default_value_t = 4096)]
    pub token_budget: usize,
    /// Compute activations again in the backward pass instead of remembering them: slower,
    /// less memory
    #[arg(long)]
    pub activation_checkpointing: bool,

    /// Train a low-rank adapter of this rank instead of all weights
    #[arg(long)]
    pub lora_rank: Option<usize>,
    /// The adapter's change is scaled by this over the rank
    #[arg(long, default_value_t = 16.0, requires = "lora_rank")]
    pub lora_alpha: f64,
    /// Share of the adapter's inputs that are dropped while training
    #[arg(long, default_value_t = 0.0, requires = "lora_rank")]
    pub lora_dropout: f64,
    /// Layers that get one: a regular expression over their names [default: all but the head]
    #[arg(long, default_value_t, value_name = "PATTERN", requires = "lora_rank")]
    pub lora_target: LayerPattern,
    /// Scale by alpha over the root of the rank
    #[arg(long, requires = "lora_rank")]
    pub lora_rank_stabilised: bool,
    /// Write the whole model with the adapter added to its weights, instead of the adapter
    #[arg(long, requires = "lora_rank")]
    pub merge: bool,

    /// Steps between evaluations [default: one each epoch]
    #[arg(long, requires = "valid")]
    pub eval_every: Option<usize>,
    /// Stop after this many evaluations without improvement
    #[arg(long, requires = "valid")]
    pub patience: Option<usize>,
    /// What counts as an improvement, in nats per token
    #[arg(long, default_value_t = 0.0, requires = "valid")]
    pub min_delta: f64,
    /// Which weights the run ends with: those of the best evaluation, or the last
    #[arg(long, value_enum, default_value = "best", requires = "valid")]
    pub weights: WeightsKind,

    /// Steps (500) or time (30s, 10m, 2h) between checkpoints
    #[arg(long, default_value_t, value_name = "STEPS|TIME")]
    pub checkpoint_every: Every,
    /// Newest checkpoints that are kept, besides that of the best evaluation
    #[arg(long, default_value_t = 2)]
    pub keep: usize,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// Which weights a run ends with.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WeightsKind {
    /// Those of the lowest loss on the held-out rows.
    Best,
    /// Those after the last step.
    Last,
}

impl Flags {
    /// Settings of the training.
    pub fn training(&self) -> TrainParams {
        TrainParams {
            epochs: self.epochs,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            token_budget: self.token_budget,
            warmup_ratio: self.warmup_ratio,
            schedule: self.schedule.into(),
            weight_decay: self.weight_decay,
            // Any other value that is no norm is refused by name.
            max_grad_norm: Some(self.max_grad_norm).filter(|norm| norm.abs() > 0.0),
            seed: self.seed,
            activation_checkpointing: self.activation_checkpointing,
            ..TrainParams::default()
        }
    }

    /// Settings of the adapter, if one is wanted.
    pub fn adapter(&self) -> Option<LoraParams> {
        Some(LoraParams {
            rank: self.lora_rank?,
            alpha: self.lora_alpha,
            target: self.lora_target.clone(),
            dropout: self.lora_dropout,
            rslora: self.lora_rank_stabilised,
            seed: self.seed,
        })
    }

    /// When to evaluate, and what follows.
    pub fn evaluation(&self) -> EvalParams {
        EvalParams {
            every: self.eval_every,
            patience: self.patience,
            min_delta: self.min_delta,
            keep_best: self.weights == WeightsKind::Best,
        }
    }

    /// When checkpoints are written.
    pub fn checkpoints(&self) -> CheckpointParams {
        CheckpointParams { every: self.checkpoint_every, keep: self.keep, at_end: true }
    }
}
