//! Flags that every program has in common.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tamis::dataset::{
    Dataset, EncodeOptions, Encoder, Fields, Format, OnError, ReadOptions, Template, TextTokenizer,
};
use tamis::finetune::Schedule;
use tamis::model::{Attention, DType, DeviceSpec, LoadOptions, Model};

/// Which model, and where it runs.
#[derive(Args, Clone, Debug, Serialize)]
pub struct ModelFlags {
    /// Hugging Face folder: config.json, safetensors (one file or sharded), tokenizer.json
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// auto, cpu or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceSpec,
    /// Number type of weights and activations: f32, f16, bf16 or f64
    #[arg(long, default_value = "f32")]
    pub dtype: DType,
}

impl ModelFlags {
    /// Opens the model folder.
    ///
    /// # Errors
    /// What the folder lacks, naming the file, field or tensor.
    pub fn load(&self) -> Result<Model> {
        let options =
            LoadOptions { device: self.device, kind: self.dtype, attention: Attention::Fused };
        Model::open_with(&self.model, &options)
            .with_context(|| format!("loading the model in {}", self.model.display()))
    }
}

/// How rows are read and become tokens.
#[derive(Args, Clone, Debug, Serialize)]
pub struct TextFlags {
    /// Format of the data files; told from extension and first row if not given: alpaca-json,
    /// alpaca-jsonl, messages, share-gpt, translation-jsonl, tsv, parquet
    #[arg(long)]
    pub format: Option<Format>,
    /// How a row becomes text: translation, alpaca, vicuna, chat (the tokenizer's own) or none
    #[arg(long, default_value = "translation")]
    pub template: String,
    /// Language that translation rows are translated into
    #[arg(long, default_value = "English")]
    pub target_lang: String,
    /// Longest sample in tokens; a sample whose target would be cut is left out, with that reason
    #[arg(long, default_value_t = 512)]
    pub max_length: usize,
    /// Leave rows out that cannot be read (listed in run.json) instead of stopping at the first
    #[arg(long)]
    pub skip_bad_rows: bool,
}

impl TextFlags {
    /// Opens and checks a data file.
    ///
    /// # Errors
    /// The file and line of the first row that cannot be read.
    pub fn open(&self, path: &Path) -> Result<Dataset> {
        open_rows(path, self.format, self.skip_bad_rows, false)
    }

    /// Opens and checks a file whose rows may lack their answers.
    ///
    /// # Errors
    /// The file and line of the first row that cannot be read.
    pub fn open_questions(&self, path: &Path) -> Result<Dataset> {
        open_rows(path, self.format, self.skip_bad_rows, true)
    }

    /// Makes the encoder for a model's own tokenizer.
    ///
    /// # Errors
    /// A missing or damaged tokenizer, or an unknown template.
    pub fn encoder(&self, model: &ModelFlags) -> Result<Encoder> {
        let tokenizer = TextTokenizer::from_dir(&model.model)?;
        let template = Template::parse(&self.template, Some(&self.target_lang))?;
        let options = EncodeOptions {
            max_length: self.max_length,
            target_language: Some(self.target_lang.clone()),
            ..EncodeOptions::default()
        };
        Ok(Encoder::new(tokenizer, template, options)?)
    }
}

/// Opens and checks a data file. Rows may lack their answers if `optional_answer`; those that cannot
/// be read are left out if `skip_bad_rows`.
///
/// # Errors
/// The file and line of the first row that cannot be read.
pub fn open_rows(
    path: &Path,
    format: Option<Format>,
    skip_bad_rows: bool,
    optional_answer: bool,
) -> Result<Dataset> {
    let on_error = if skip_bad_rows { OnError::Skip } else { OnError::Strict };
    let fields = Fields { optional_answer, ..Fields::default() };
    let options = ReadOptions { format, on_error, fields };
    Dataset::open(path, &options).with_context(|| format!("reading {}", path.display()))
}

/// How a learning rate goes after the warm-up.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleKind {
    /// Falls to 0 in a line.
    Linear,
    /// Falls to 0 along half a cosine.
    Cosine,
    /// Stays.
    Constant,
}

impl From<ScheduleKind> for Schedule {
    fn from(kind: ScheduleKind) -> Self {
        match kind {
            ScheduleKind::Linear => Self::Linear,
            ScheduleKind::Cosine => Self::Cosine,
            ScheduleKind::Constant => Self::Constant,
        }
    }
}
