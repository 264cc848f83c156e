//! The command line of `retrieve`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use tamis::dataset::{
    Dataset, EncodeOptions, Encoder, Format, Template, TextTokenizer, Truncation,
};
use tamis::embeddings::EmbedParams;
use tamis::model::{DType, DeviceSpec, Pool};
use tamis::selection::targets::{Bm25Params, TaskRule};

use crate::targeted::TargetFlags;
use crate::{ExportFlags, Exports, ModelFlags, open_rows};

/// Chooses rows that are like examples of some tasks, without a single gradient.
///
/// Written to --out: selected.*, the chosen rows as they came; scores.jsonl, one line a row with its
/// score, those of each task, whether it was selected, and the reason; run.json and report.html.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(version)]
pub struct Flags {
    /// Rows to choose from
    #[arg(long)]
    pub pool: PathBuf,
    /// What is wanted, and how much.
    #[command(flatten)]
    pub targets: TargetFlags,
    /// Folder for results and for everything needed to go on after an interruption
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Further forms of the results.
    #[command(flatten)]
    pub exports: ExportFlags,
    /// How rows are scored against examples
    #[arg(long, value_enum, default_value = "rds")]
    pub by: By,

    /// For rds: Hugging Face folder of the model whose hidden states are compared
    #[arg(long, value_name = "DIR", required_if_eq("by", "rds"))]
    pub model: Option<PathBuf>,
    /// For rds: how a row becomes text: alpaca, vicuna, chat, none or translation
    #[arg(long, default_value = "alpaca")]
    pub template: String,
    /// For rds: language that translation rows are translated into
    #[arg(long, default_value = "English")]
    pub target_lang: String,
    /// For rds: longest text in tokens; of longer ones the beginning is compared
    #[arg(long, default_value_t = 512)]
    pub max_length: usize,
    /// For rds: padded tokens of one batch; a GPU wants many more
    #[arg(long, default_value_t = 1024)]
    pub token_budget: usize,
    /// For rds: rows written (and redone after an interruption) together
    #[arg(long, default_value_t = 512)]
    pub shard_rows: usize,
    /// For rds: auto, cpu or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceSpec,
    /// For rds: number type of weights and activations: f32, f16, bf16 or f64
    #[arg(long, default_value = "f32")]
    pub dtype: DType,
    /// For bm25: how soon further occurrences of a word count no more (0: at once)
    #[arg(long, default_value_t = Bm25Params::default().k1)]
    pub k1: f64,
    /// For bm25: how much a long row is held back, from 0 to 1
    #[arg(long, default_value_t = Bm25Params::default().b)]
    pub b: f64,
    /// For random: its seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Format of the pool; told from extension and first row if not given
    #[arg(long)]
    pub format: Option<Format>,
    /// Leave rows of the pool out that cannot be read (listed in run.json) instead of stopping at the
    /// first
    #[arg(long)]
    pub skip_bad_rows: bool,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// How rows are scored.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// RDS+: the cosine of hidden states, averaged over the text with weights that grow with the
    /// position.
    Rds,
    /// BM25: words in common, rare ones more.
    Bm25,
    /// At random, whatever the targets.
    Random,
}

impl By {
    /// What a score is, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Rds => "Scores are cosines of position-weighted hidden states (RDS+).",
            Self::Bm25 => "Scores are those of Okapi BM25, by words in common.",
            Self::Random => "Scores are random numbers from 0 to 1.",
        }
    }
}

impl Flags {
    /// What is written in further forms, in the words the model read.
    ///
    /// # Errors
    /// An unknown template.
    pub fn exports(&self) -> Result<Exports> {
        self.exports.wording(&self.template, &self.target_lang)
    }

    /// Opens and checks the pool.
    ///
    /// # Errors
    /// The file and line of the first row that cannot be read, or a budget beyond the pool.
    pub fn open(&self) -> Result<Dataset> {
        let pool = open_rows(&self.pool, self.format, self.skip_bad_rows, false)?;
        let budget = self.targets.budget;
        ensure!(
            (1..=pool.len()).contains(&budget),
            "--budget is {budget}, but must be between 1 and {}, the rows of {}",
            pool.len(),
            self.pool.display()
        );
        Ok(pool)
    }

    /// The rule over tasks: round-robin, as published for RDS+, unless another is asked for.
    pub fn rule(&self) -> TaskRule {
        self.targets.rule.unwrap_or(TaskRule::RoundRobin)
    }

    /// Settings of BM25.
    pub fn bm25(&self) -> Bm25Params {
        Bm25Params { k1: self.k1, b: self.b }
    }

    /// How rows are embedded.
    pub fn embedding(&self) -> EmbedParams {
        let (token_budget, shard_rows) = (self.token_budget, self.shard_rows);
        EmbedParams { pool: Pool::Weighted, token_budget, shard_rows }
    }

    /// The model to embed with.
    ///
    /// # Errors
    /// None was named.
    pub fn model(&self) -> Result<ModelFlags> {
        let model = self.model.clone().context("--by rds needs a --model")?;
        Ok(ModelFlags { model, device: self.device, dtype: self.dtype })
    }

    /// Makes the encoder for the model's own tokenizer.
    ///
    /// # Errors
    /// A missing or damaged tokenizer, or an unknown template.
    pub fn encoder(&self, model: &ModelFlags) -> Result<Encoder> {
        let tokenizer = TextTokenizer::from_dir(&model.model)?;
        let template = Template::parse(&self.template, Some(&self.target_lang))?;
        let options = EncodeOptions {
            max_length: self.max_length,
            truncation: Truncation::KeepPrefix,
            target_language: Some(self.target_lang.clone()),
            ..EncodeOptions::default()
        };
        Ok(Encoder::new(tokenizer, template, options)?)
    }
}
