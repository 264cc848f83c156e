//! The command line of `diverse_evol`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use tamis::diverse_evol::{EvolParams, Models, Strategy, TrainCommand, UncertaintyParams};
use tamis::embeddings::EmbedParams;
use tamis::finetune::{CheckpointParams, Every, LoraParams, TrainParams};
use tamis::kcenter::Metric;
use tamis::model::LayerPattern;

use crate::{ExportFlags, ModelFlags, ScheduleKind, TextFlags};

/// Flags of the built-in training: with another program they would say nothing.
const BUILT_IN: [&str; 13] = [
    "epochs",
    "lr",
    "batch",
    "schedule",
    "warmup_ratio",
    "weight_decay",
    "max_grad_norm",
    "activation_checkpointing",
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "lora_target",
    "checkpoint_every",
];

/// Let a model grow its own training set, round by round (`DiverseEvol`).
#[derive(Parser, Clone, Debug, Serialize)]
#[command(
    version,
    after_help = "\
Run the same command again after an interruption and it goes on in the middle of the round, of the
training, of the embeddings; with a larger --rounds, a finished run goes on as well. What was made
from another pool, model, strategy or setting is refused, naming what differs.

Another trainer than the built-in one can be any program that reads rows from a file and writes a
Hugging Face folder. No shell is started; {work} is a folder that it finds again after an
interruption:
  --train-command 'python sft.py --base {model} --data {data} --out {out} --checkpoints {work}'

Examples:
  diverse_evol --model M --pool rows.jsonl --template alpaca --out out/evol --eval-data held.jsonl
  diverse_evol --model M --pool rows.jsonl --out out/lora --lora-rank 16 --lr 1e-3 --rounds 4
  diverse_evol --model M --pool rows.jsonl --out out/once --strategy one-shot-k-center"
)]
pub struct Flags {
    /// The base model that every training begins with.
    #[command(flatten)]
    pub model: ModelFlags,
    /// How rows become tokens.
    #[command(flatten)]
    pub text: TextFlags,
    /// Rows to choose from
    #[arg(long, value_name = "FILE")]
    pub pool: PathBuf,
    /// Folder for results, the models of all rounds, and everything needed to go on after an
    /// interruption
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Further forms of the results.
    #[command(flatten)]
    pub exports: ExportFlags,

    /// Rows drawn at random to begin with
    #[arg(long, default_value_t = 100)]
    pub initial: usize,
    /// Rows that each round adds
    #[arg(long, default_value_t = 100)]
    pub per_round: usize,
    /// Rounds after the first draw
    #[arg(long, default_value_t = 10)]
    pub rounds: usize,
    /// random, least-confidence, margin, entropy, k-center, k-means or one-shot-k-center (which
    /// looks at all rows once, with the base model)
    #[arg(long, default_value_t)]
    pub strategy: Strategy,
    /// What "far" means between embeddings: euclidean or cosine
    #[arg(long, default_value_t)]
    pub metric: Metric,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Held-out rows: the loss on them is measured after every training
    #[arg(long, value_name = "FILE")]
    pub eval_data: Option<PathBuf>,
    /// Sets that a model is trained on: those whose model the strategy needs, or every round's
    /// [default: every with --eval-data, else needed]
    #[arg(long, value_enum)]
    pub train: Option<TrainKind>,
    /// Remove a round's model when the next round has been chosen
    #[arg(long)]
    pub drop_old_models: bool,
    /// Remove a round's embeddings when the next round has been chosen
    #[arg(long)]
    pub drop_old_views: bool,

    /// Trains with another program: a command with {data}, {out} and, if it wants them, {model} and
    /// {work}; the flags below, up to --checkpoint-every, are then refused
    #[arg(long, value_name = "COMMAND", conflicts_with_all = BUILT_IN)]
    pub train_command: Option<TrainCommand>,
    /// Passes over the training set
    #[arg(long, default_value_t = 3)]
    pub epochs: usize,
    /// Highest learning rate
    #[arg(long, alias = "learning-rate", default_value_t = 2e-5)]
    pub lr: f64,
    /// Rows per optimizer step
    #[arg(long, alias = "batch-size", default_value_t = 16)]
    pub batch: usize,
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
    /// Compute activations again in the backward pass instead of remembering them
    #[arg(long)]
    pub activation_checkpointing: bool,
    /// Train a low-rank adapter of this rank instead of all weights; the model is then the base with
    /// the adapter added
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
    /// Steps (500) or time (30s, 10m, 2h) between checkpoints of a training
    #[arg(long, default_value = "5m", value_name = "STEPS|TIME")]
    pub checkpoint_every: Every,

    /// Padded tokens of one forward pass; a GPU wants many more
    #[arg(long, default_value_t = 4096)]
    pub token_budget: usize,
    /// Rows that are looked at (and redone after an interruption) together
    #[arg(long, default_value_t = 512)]
    pub shard_rows: usize,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// Which sets a model is trained on.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainKind {
    /// Those whose model chooses the next rows.
    Needed,
    /// Every one.
    Every,
}

impl Flags {
    /// What was asked for, without the settings of a training that another program does.
    ///
    /// # Errors
    /// None but those of serde.
    pub fn parameters(&self) -> serde_json::Result<Value> {
        let mut all = serde_json::to_value(self)?;
        if let Some(all) = all.as_object_mut().filter(|_| self.train_command.is_some()) {
            all.retain(|name, _| !BUILT_IN.contains(&name.as_str()));
        }
        Ok(all)
    }

    /// How the set grows.
    pub fn evolution(&self) -> EvolParams {
        let train = self.train.unwrap_or(match self.eval_data {
            Some(_) => TrainKind::Every,
            None => TrainKind::Needed,
        });
        EvolParams {
            initial: self.initial,
            per_round: self.per_round,
            rounds: self.rounds,
            strategy: self.strategy,
            metric: self.metric,
            seed: self.seed,
            models: match train {
                TrainKind::Needed => Models::Needed,
                TrainKind::Every => Models::Every,
            },
            keep_models: !self.drop_old_models,
            keep_views: !self.drop_old_views,
        }
    }

    /// How a fresh model is trained each round.
    pub fn training(&self) -> TrainParams {
        TrainParams {
            epochs: self.epochs,
            learning_rate: self.lr,
            batch_size: self.batch,
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

    /// The adapter that is trained in place of all weights, if one is wanted.
    pub fn adapter(&self) -> Option<LoraParams> {
        Some(LoraParams {
            rank: self.lora_rank?,
            alpha: self.lora_alpha,
            target: self.lora_target.clone(),
            dropout: self.lora_dropout,
            rslora: false,
            seed: self.seed,
        })
    }

    /// When checkpoints are written. One at the end, too: saving the model may be interrupted.
    pub fn checkpoints(&self) -> CheckpointParams {
        CheckpointParams { every: self.checkpoint_every, keep: 1, at_end: true }
    }

    /// How rows are embedded: the mean over all their tokens.
    pub fn embedding(&self) -> EmbedParams {
        EmbedParams {
            token_budget: self.token_budget,
            shard_rows: self.shard_rows,
            ..EmbedParams::default()
        }
    }

    /// How uncertainty is computed.
    pub fn uncertainty(&self) -> UncertaintyParams {
        UncertaintyParams { token_budget: self.token_budget, shard_rows: self.shard_rows }
    }
}
