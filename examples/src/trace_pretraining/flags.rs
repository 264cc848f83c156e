//! The flags of `trace_pretraining` and what they mean to the libraries.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Parser, ValueEnum};
use serde::Serialize;
use tamis::dataset::{
    Dataset, EncodeOptions, Encoder, Format, Template, TextTokenizer, Truncation,
};
use tamis::gradients::{Labels, PassParams};
use tamis::influence::Candidate;
use tamis::kfac::{CurvatureKind, Damping, FitParams, NonFinite};
use tamis::model::{DType, DeviceSpec, LayerPattern, Reduction};

use crate::gdig::{LabelKind, LossKind};
use crate::{ExportFlags, Exports, ModelFlags, TextFlags, open_rows};

/// Rank pre-training texts by what they did to a fine-tuned model's answers.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(
    version,
    after_help = "\
--template, --format and --max-length say how answers and fine-tuning data become tokens: as in
fine-tuning. Texts are rows with a `text`, learned whole (--texts-template none); texts of other
forms are read too, with the template that pre-training had for them. A text longer than --max-length
is cut.
The two models must have the same layers. Both are in memory, and for each answer as many numbers as
the chosen layers have weights. Other --answers or --budget in the same --out use the curvatures that
are there."
)]
pub struct Flags {
    /// The model after pre-training: a Hugging Face folder
    #[arg(long, value_name = "DIR")]
    pub pretrained: PathBuf,
    /// The same model after fine-tuning of all its weights
    #[arg(long, value_name = "DIR")]
    pub finetuned: PathBuf,
    /// auto, cpu or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceSpec,
    /// Number type of weights and activations: f32, f16, bf16 or f64
    #[arg(long, default_value = "f32")]
    pub dtype: DType,
    /// How rows become tokens.
    #[command(flatten)]
    pub text: TextFlags,
    /// What the fine-tuned model answered: each row an instruction with the model's own output
    #[arg(long, value_name = "FILE")]
    pub answers: PathBuf,
    /// What the model was fine-tuned on, or a part of it
    #[arg(long, value_name = "FILE")]
    pub finetuning_data: PathBuf,
    /// The pre-training texts to rank
    #[arg(long, value_name = "FILE")]
    pub texts: PathBuf,
    /// Format of the texts, if it is not to be told from the file: text-jsonl, or one of --format
    #[arg(long)]
    pub texts_format: Option<Format>,
    /// How a text becomes what the model was pre-trained on
    #[arg(long, default_value = "none")]
    pub texts_template: String,
    /// Texts to write into selected.jsonl
    #[arg(long)]
    pub budget: usize,
    /// Folder for results and for everything needed to go on after an interruption
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Further forms of the results.
    #[command(flatten)]
    pub exports: ExportFlags,

    /// Layers whose gradients count: a regular expression over their names [default: all but the head]
    #[arg(long, default_value_t)]
    pub layers: LayerPattern,
    /// Curvature of both stages: ekfac, kfac, diagonal, or identity (plain inner products)
    #[arg(long, default_value = "ekfac")]
    pub curvature: CurvatureKind,
    /// Damping of pre-training's curvature: relative to each layer's mean eigenvalue (0.1),
    /// absolute:D or tikhonov:C
    #[arg(long, default_value_t)]
    pub damping: Damping,
    /// Damping of fine-tuning's curvature, which stands for how near it stayed to the pre-trained
    /// weights: a large one for few or small steps [default: as --damping]
    #[arg(long)]
    pub finetuned_damping: Option<Damping>,
    /// Labels for the curvature: sampled from the model (true Fisher) or the data's
    #[arg(long, value_enum, default_value = "sampled")]
    pub labels: LabelKind,
    /// Samples to fit each curvature on, drawn from its data [default: all]
    #[arg(long)]
    pub curvature_samples: Option<NonZeroUsize>,
    /// Layers whose curvature is held in memory at a time, each group in passes of its own [default: all]
    #[arg(long)]
    pub curvature_layers: Option<NonZeroUsize>,
    /// Leave samples with values that are not finite out of the curvature instead of stopping there
    #[arg(long)]
    pub skip_non_finite: bool,
    /// Loss of a text or answer: sum over its tokens, as each counts in pre-training, or their mean,
    /// which does not favour long texts
    #[arg(long, value_enum, default_value = "sum")]
    pub loss: LossKind,
    /// What texts are ranked by: their mean influence on the answers, or that divided by the norm of
    /// their gradient, which does not favour texts that the model finds hard
    #[arg(long, value_enum, default_value = "influence")]
    pub by: By,
    /// Score the texts at the fine-tuned model alone, too, as if it had been trained on them last:
    /// for comparison
    #[arg(long)]
    pub last_stage: bool,

    /// Padded tokens of one batch
    #[arg(long, default_value_t = 2048)]
    pub token_budget: usize,
    /// Texts written (and redone after an interruption) together
    #[arg(long, default_value_t = 512)]
    pub shard_rows: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// What texts are ranked by.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Mean influence on the answers.
    Influence,
    /// The same, divided by the norm of the text's gradient.
    Normalised,
}

impl By {
    /// The number a text is ranked by; positive = it made the answers likelier.
    pub fn of(self, candidate: &Candidate) -> f64 {
        match self {
            Self::Influence => candidate.mean(),
            Self::Normalised => candidate.mean_normalised(),
        }
    }
}

impl Flags {
    /// What is written in further forms, in the words the model read.
    ///
    /// # Errors
    /// An unknown template.
    pub fn exports(&self) -> Result<Exports> {
        self.exports.wording(&self.texts_template, &self.text.target_lang)
    }

    /// The model in a folder.
    pub fn model(&self, folder: &Path) -> ModelFlags {
        ModelFlags { model: folder.to_owned(), device: self.device, dtype: self.dtype }
    }

    /// Opens and checks the texts.
    ///
    /// # Errors
    /// The file and line of the first row that cannot be read.
    pub fn open_texts(&self) -> Result<Dataset> {
        open_rows(&self.texts, self.texts_format, self.text.skip_bad_rows, false)
    }

    /// How a text becomes tokens of the pre-trained model.
    ///
    /// # Errors
    /// A missing or damaged tokenizer, or an unknown template.
    pub fn texts_encoder(&self) -> Result<Encoder> {
        let tokenizer = TextTokenizer::from_dir(&self.pretrained)?;
        let language = Some(self.text.target_lang.as_str());
        let template = Template::parse(&self.texts_template, language)?;
        let options = EncodeOptions {
            max_length: self.text.max_length,
            truncation: Truncation::KeepPrefix,
            target_language: Some(self.text.target_lang.clone()),
            ..EncodeOptions::default()
        };
        Ok(Encoder::new(tokenizer, template, options)?)
    }

    /// The damping of fine-tuning's curvature.
    pub fn late_damping(&self) -> Damping {
        self.finetuned_damping.unwrap_or(self.damping)
    }

    /// Settings of the curvature fits.
    pub fn fitting(&self) -> FitParams {
        let labels = match self.labels {
            LabelKind::Sampled => Labels::Sampled { seed: self.seed },
            LabelKind::Data => Labels::Data,
        };
        let non_finite = if self.skip_non_finite { NonFinite::Skip } else { NonFinite::Refuse };
        FitParams { labels, token_budget: self.token_budget, non_finite, ..FitParams::default() }
    }

    /// Settings of the gradient passes.
    pub fn passing(&self) -> PassParams {
        let reduction = match self.loss {
            LossKind::Mean => Reduction::Mean,
            LossKind::Sum => Reduction::Sum,
        };
        PassParams { reduction, token_budget: self.token_budget, shard_rows: self.shard_rows }
    }
}
