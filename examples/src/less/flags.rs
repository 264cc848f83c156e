//! The flags of `less` and what they mean to the libraries.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use serde::Serialize;
use tamis::finetune::{CheckpointParams, Every, LoraParams, TrainParams};
use tamis::gradients::{FlatSpec, PassParams, RowType};
use tamis::less::{Direction, FeatureParams};
use tamis::model::LayerPattern;
use tamis::selection::targets::TaskRule;

use crate::targeted::TargetFlags;
use crate::{ExportFlags, ModelFlags, TextFlags};

/// Choose rows whose gradients, as Adam would follow them, point where those of target tasks do.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(
    version,
    after_help = "\
The settings of the warm-up are those published for models of 7 to 13 billion parameters. A small
model wants a small rank (8), alpha twice the rank, and a learning rate of 1e-3 or more: without a
real warm-up the choice is no better than a random one. On a small pool raise --warmup-share, so
that an epoch has at least some ten steps.

Everything is kept: run the same command again after an interruption and it goes on where it was;
run it with other --target files, --rule or --budget and nothing but the targets is computed anew.
Another --form, --dim or --row-type needs another --store and can share the --warmup.

Examples:
  less --model M --pool pool.jsonl --target qa=qa.jsonl --target math.jsonl --budget 500 --out o
  less --model M --pool pool.jsonl --target t.jsonl --budget 200 --out o --lora-rank 8 \\
      --lora-alpha 16 --learning-rate 2e-3 --batch-size 16 --warmup-share 0.2"
)]
pub struct Flags {
    /// The model.
    #[command(flatten)]
    pub model: ModelFlags,
    /// How rows become tokens.
    #[command(flatten)]
    pub text: TextFlags,
    /// Rows to choose from
    #[arg(long, value_name = "FILE")]
    pub pool: PathBuf,
    /// What is wanted, and how much.
    #[command(flatten)]
    pub targets: TargetFlags,
    /// Folder for everything
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Further forms of the results.
    #[command(flatten)]
    pub exports: ExportFlags,

    /// Share of the pool that the warm-up trains on
    #[arg(long, default_value_t = 0.05)]
    pub warmup_share: f64,
    /// Passes of the warm-up over its share; a checkpoint is kept of each
    #[arg(long, default_value_t = 4)]
    pub epochs: usize,
    /// Highest learning rate of the warm-up
    #[arg(long, default_value_t = 2e-5)]
    pub learning_rate: f64,
    /// Samples per optimizer step
    #[arg(long, default_value_t = 128)]
    pub batch_size: usize,
    /// Share of the steps during which the learning rate rises from 0
    #[arg(long, default_value_t = 0.03)]
    pub warmup_ratio: f64,
    /// Rank of the adapter
    #[arg(long, default_value_t = 128)]
    pub lora_rank: usize,
    /// The adapter's change is scaled by this over the rank
    #[arg(long, default_value_t = 512.0)]
    pub lora_alpha: f64,
    /// Share of the adapter's inputs that are dropped during the warm-up
    #[arg(long, default_value_t = 0.1)]
    pub lora_dropout: f64,
    /// Layers with an adapter, whose gradients are looked at: a regular expression over their names.
    /// The default takes the attention's projections of every architecture
    #[arg(long, value_name = "PATTERN", default_value = ATTENTION)]
    pub lora_target: LayerPattern,
    /// Folder of the warm-up, which several stores can share [default: OUT/warmup]
    #[arg(long, value_name = "DIR")]
    pub warmup: Option<PathBuf>,

    /// What of a candidate's gradient is compared: Adam's step with the corrections of its moments
    /// (paper), as the released code has it (reference), or the gradient itself (plain)
    #[arg(long, default_value_t)]
    pub form: Direction,
    /// Numbers that are kept of each gradient
    #[arg(long, default_value = "8192")]
    pub dim: NonZeroUsize,
    /// How so few are made of so many: each is added to one place (sparse), or multiplied by as many
    /// random signs as are kept (rademacher, published; on a CPU several times the time of the pass)
    #[arg(long, value_enum, default_value = "sparse")]
    pub projection: Spread,
    /// Type in which rows are stored and compared: f32, f16, bf16, or in fewer bits int8, int4, sign
    #[arg(long, default_value_t)]
    pub row_type: RowType,
    /// Folder of the stored rows [default: OUT/store]
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,

    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Padded tokens of one pass
    #[arg(long, default_value_t = 2048)]
    pub token_budget: usize,
    /// Rows that are written together
    #[arg(long, default_value_t = 512)]
    pub shard_rows: usize,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// The attention's projections of the Llama family, of Baichuan, and of GPT-2.
const ATTENTION: &str = r"\.([qkvo]_proj|W_pack|c_attn|attn\.c_proj)$";

/// How gradients become few numbers.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// Each number to one random place.
    Sparse,
    /// Each number to every place.
    Rademacher,
}

impl Flags {
    /// The rule that was asked for; without one that of the method.
    pub fn rule(&self) -> TaskRule {
        self.targets.rule.unwrap_or_default()
    }

    /// Settings of the warm-up.
    pub fn training(&self) -> TrainParams {
        TrainParams {
            epochs: self.epochs,
            learning_rate: self.learning_rate,
            batch_size: self.batch_size,
            token_budget: self.token_budget,
            warmup_ratio: self.warmup_ratio,
            seed: self.seed,
            ..TrainParams::default()
        }
    }

    /// Settings of the adapter.
    pub fn adapter(&self) -> LoraParams {
        LoraParams {
            rank: self.lora_rank,
            alpha: self.lora_alpha,
            target: self.lora_target.clone(),
            dropout: self.lora_dropout,
            rslora: false,
            seed: self.seed,
        }
    }

    /// A checkpoint after every epoch, all of them kept.
    pub fn checkpoints(&self) -> CheckpointParams {
        CheckpointParams { every: Every::Epochs(1), keep: self.epochs.max(1), at_end: true }
    }

    /// What features are made of.
    pub fn features(&self) -> FeatureParams {
        let dim = self.dim.get();
        let projection = match self.projection {
            Spread::Sparse => FlatSpec::Sparse { dim },
            Spread::Rademacher => FlatSpec::Rademacher { dim },
        };
        FeatureParams { direction: self.form, projection, seed: self.seed }
    }

    /// How passes are made.
    pub fn passing(&self) -> PassParams {
        PassParams {
            token_budget: self.token_budget,
            shard_rows: self.shard_rows,
            ..PassParams::default()
        }
    }

    /// Folder of the warm-up.
    pub fn warmup_folder(&self) -> PathBuf {
        self.warmup.clone().unwrap_or_else(|| self.out.join("warmup"))
    }

    /// Folder of the stored rows of an epoch, from 1.
    pub fn store_folder(&self, epoch: usize) -> PathBuf {
        let store = self.store.clone().unwrap_or_else(|| self.out.join("store"));
        store.join(format!("epoch-{epoch}"))
    }
}
