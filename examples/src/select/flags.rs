//! The command line of `select`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use tamis::clustering::Within;
use tamis::dataset::{
    Dataset, EncodeOptions, Encoder, Format, Template, TextTokenizer, Truncation,
};
use tamis::embeddings::{EmbedParams, Embeddings, OpenOptions};
use tamis::kcenter::{Metric, Similarity};
use tamis::model::{DType, DeviceSpec, Pool};

use crate::{ExportFlags, Exports, ModelFlags, open_rows};

/// Chooses rows by their embeddings: those that cover the pool, or stand for it.
///
/// Rows are named by their `index` in scores.jsonl: their place in the data, from 0; without data,
/// their place in the embeddings. Embeddings with ids (Parquet with an id column, the folder of an
/// earlier run) are joined with the data by id; others must have as many rows as the data, in the
/// same order.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(version)]
pub struct Flags {
    /// Stored embeddings: .npy, .safetensors, .parquet, or the folder of an earlier run
    /// (OUT/embeddings)
    #[arg(long, value_name = "PATH", required_unless_present = "model", conflicts_with = "model")]
    pub embeddings: Option<PathBuf>,
    /// The rows that are chosen from; without it, selected.jsonl has only index and id of each
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Hugging Face folder of a model that embeds --data first (into OUT/embeddings; an interrupted
    /// run goes on where it was)
    #[arg(long, value_name = "DIR", requires = "data")]
    pub model: Option<PathBuf>,
    /// Folder for results
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Further forms of the results.
    #[command(flatten)]
    pub exports: ExportFlags,

    /// How rows are chosen
    #[arg(long, value_enum, default_value = "k-center")]
    pub strategy: Strategy,
    /// Rows to choose
    #[arg(long)]
    pub budget: usize,
    /// Rows that are there already, such as 3,77,1500: they count as chosen before the first, are
    /// not part of the budget and not in selected.jsonl, and have the reason `initial`
    #[arg(long, value_delimiter = ',', value_name = "INDICES")]
    pub initial: Vec<usize>,
    /// Distance of k-center and k-means, and of the figures: euclidean or cosine
    #[arg(long, default_value_t)]
    pub metric: Metric,
    /// For facility-location and qdit: how alike two rows are, cosine (0 where negative) or
    /// shifted-cosine [default: cosine, by which the figures go in any case]
    #[arg(long)]
    pub similarity: Option<Similarity>,
    /// For qdit: the quality of every row, higher is better. A text file of one number a line in
    /// the order of the rows, or .jsonl with `id` and a number (such as the scores.jsonl of ifd)
    #[arg(long, value_name = "FILE")]
    pub quality: Option<PathBuf>,
    /// Field of a .jsonl file that holds the quality [default: quality]
    #[arg(long, requires = "quality")]
    pub quality_field: Option<String>,
    /// For qdit: weight of the quality against the coverage, from 0 to 1 [default: 0.7]
    #[arg(long, allow_negative_numbers = true)]
    pub alpha: Option<f64>,
    /// For k-means: number of clusters that are drawn from evenly [default: square root of the
    /// number of rows]
    #[arg(long)]
    pub clusters: Option<NonZeroUsize>,
    /// For k-means: which member of a cluster is drawn, random or nearest to its centre [default:
    /// random]
    #[arg(long)]
    pub within: Option<Within>,
    /// Seed of everything random: the random and k-means strategies and the choices compared with
    /// (k-center, facility-location and qdit are not random; k-center without --initial begins with
    /// row 0)
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Random choices of the same size to compare with
    #[arg(long, default_value_t = 5)]
    pub comparisons: usize,

    /// Tensor of a .safetensors file [default: the only one of two dimensions]
    #[arg(long, conflicts_with = "model")]
    pub tensor: Option<String>,
    /// Column of a Parquet file with the embeddings [default: the only one of lists of numbers]
    #[arg(long, conflicts_with = "model")]
    pub column: Option<String>,
    /// Column of a Parquet file with the ids [default: id, if there is one]
    #[arg(long, conflicts_with = "model")]
    pub id_column: Option<String>,
    /// Join data and embeddings row by row even if the embeddings have ids
    #[arg(long, requires = "data", conflicts_with = "model")]
    pub in_order: bool,

    /// Format of the data; told from extension and first row if not given
    #[arg(long, requires = "data")]
    pub format: Option<Format>,
    /// Leave rows out that cannot be read (listed in run.json) instead of stopping at the first
    #[arg(long, requires = "data")]
    pub skip_bad_rows: bool,
    /// With --model or --export: how a row becomes text: alpaca, vicuna, chat, none or translation
    #[arg(long, default_value = "alpaca")]
    pub template: String,
    /// With --model or --export: language that translation rows are translated into
    #[arg(long, default_value = "English")]
    pub target_lang: String,
    /// With --model: longest text in tokens; of longer ones the beginning is embedded, unless it
    /// holds nothing of the response
    #[arg(long, conflicts_with = "embeddings", default_value_t = 512)]
    pub max_length: usize,
    /// With --model: average hidden states over all tokens, or over those of the response
    #[arg(long, conflicts_with = "embeddings", value_enum, default_value = "all")]
    pub pool: PoolKind,
    /// With --model: padded tokens of one batch; a GPU wants many more
    #[arg(long, conflicts_with = "embeddings", default_value_t = 1024)]
    pub token_budget: usize,
    /// With --model: rows written (and redone after an interruption) together
    #[arg(long, conflicts_with = "embeddings", default_value_t = 512)]
    pub shard_rows: usize,
    /// With --model: auto, cpu or cuda:N
    #[arg(long, conflicts_with = "embeddings", default_value = "auto")]
    pub device: DeviceSpec,
    /// With --model: number type of weights and activations: f32, f16, bf16 or f64
    #[arg(long, conflicts_with = "embeddings", default_value = "f32")]
    pub dtype: DType,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// How rows are chosen.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Again and again the row that is farthest from all chosen ones.
    KCenter,
    /// Again and again the row that makes the chosen ones most like the whole pool. The time grows
    /// with the square of the number of rows.
    FacilityLocation,
    /// The same, weighed against the quality of the row.
    Qdit,
    /// Evenly from clusters.
    KMeans,
    /// At random.
    Random,
}

impl Strategy {
    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::KCenter => "k-center",
            Self::FacilityLocation => "facility-location",
            Self::Qdit => "qdit",
            Self::KMeans => "k-means",
            Self::Random => "random",
        }
    }
}

/// Which tokens a hidden state is averaged over.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolKind {
    /// All.
    All,
    /// Those of the response.
    Response,
}

impl Flags {
    /// Refuses flags that the strategy has no use for, and those it lacks.
    ///
    /// # Errors
    /// The flag and the strategy.
    pub fn check(&self) -> Result<()> {
        let strategy = self.strategy;
        ensure!(
            self.out.is_dir() || !self.out.exists(),
            "--out {} is a file, expected a folder",
            self.out.display()
        );
        ensure!(
            self.data.is_some() || !self.exports.wants_rows(),
            "--export alpaca and sharegpt write the chosen rows: give them with --data"
        );
        self.exports()?;
        ensure!(
            self.similarity.is_none()
                || matches!(strategy, Strategy::FacilityLocation | Strategy::Qdit),
            "--similarity is for --strategy facility-location and qdit, but the strategy is {}",
            strategy.name()
        );
        for (flag, given, only) in [
            ("--quality", self.quality.is_some(), Strategy::Qdit),
            ("--alpha", self.alpha.is_some(), Strategy::Qdit),
            ("--clusters", self.clusters.is_some(), Strategy::KMeans),
            ("--within", self.within.is_some(), Strategy::KMeans),
        ] {
            ensure!(
                !given || strategy == only,
                "{flag} is for --strategy {}, but the strategy is {}",
                only.name(),
                strategy.name()
            );
        }
        ensure!(
            strategy != Strategy::Qdit || self.quality.is_some(),
            "--strategy qdit weighs coverage against quality: name a file of qualities with \
             --quality, or use facility-location"
        );
        ensure!(
            self.within != Some(Within::BestScore),
            "--within best-score needs scores, of which there are none here: use random or nearest"
        );
        Ok(())
    }

    /// Opens and checks the data.
    ///
    /// # Errors
    /// The file and line of the first row that cannot be read.
    pub fn open(&self) -> Result<Option<Dataset>> {
        let open = |path: &PathBuf| open_rows(path, self.format, self.skip_bad_rows, false);
        self.data.as_ref().map(open).transpose()
    }

    /// Opens stored embeddings.
    ///
    /// # Errors
    /// What cannot be read, and rows that are not finite.
    pub fn stored(&self) -> Result<Embeddings> {
        let path = self.embeddings.as_ref().context("--embeddings is missing")?;
        let options = OpenOptions {
            tensor: self.tensor.clone(),
            column: self.column.clone(),
            id_column: self.id_column.clone(),
        };
        Ok(Embeddings::open_with(path, &options)?)
    }

    /// How embeddings are computed.
    pub fn embedding(&self) -> EmbedParams {
        let pool = match self.pool {
            PoolKind::All => Pool::All,
            PoolKind::Response => Pool::Targets,
        };
        EmbedParams { pool, token_budget: self.token_budget, shard_rows: self.shard_rows }
    }

    /// The model to embed with, if there is one.
    pub fn model(&self) -> Option<ModelFlags> {
        let (device, dtype) = (self.device, self.dtype);
        self.model.clone().map(|model| ModelFlags { model, device, dtype })
    }

    /// Further forms of the results, worded by the template.
    ///
    /// # Errors
    /// An unknown template.
    pub fn exports(&self) -> Result<Exports> {
        let template = Template::parse(&self.template, Some(&self.target_lang))?;
        Ok(self.exports.worded(&template, &self.target_lang))
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
