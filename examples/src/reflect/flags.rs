//! The command line of `reflect`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use serde::Serialize;
use tamis::dataset::{Dataset, Template};
use tamis::ifd_scoring::{Preset, ScoreParams};
use tamis::reflection::params::Rule;
use tamis::reflection::{Ablation, ReflectionParams};

use crate::ifd::TruncationKind;
use crate::{ExportFlags, ModelFlags, TeacherFlags, TextFlags};

/// What `--max-length` means where `--truncation` has a say.
const LENGTH: &str =
    "Longest text that the student reads, in tokens; --truncation says what happens to longer ones";

/// A teacher rewrites instruction data, the student keeps what it can learn more from.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(version)]
#[command(mut_arg("template", |arg| arg.default_value("vicuna")))]
#[command(mut_arg("max_length", |arg| arg.default_value("1024").help(LENGTH)))]
pub struct Flags {
    /// The student.
    #[command(flatten)]
    pub model: ModelFlags,
    /// How rows become text for the student.
    #[command(flatten)]
    pub text: TextFlags,
    /// Records to reflect on: instruction, input and output, or chats of one question and its answer
    #[arg(long, value_name = "FILE")]
    pub pool: PathBuf,
    /// Only the first so many records
    #[arg(long)]
    pub limit: Option<usize>,
    /// Folder for results and for everything needed to go on after an interruption
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Further forms of the results.
    #[command(flatten)]
    pub exports: ExportFlags,
    /// The teacher.
    #[command(flatten, next_help_heading = "Teacher")]
    pub teacher: TeacherFlags,
    /// Who decides about proposals: selective (the method), or one of its comparisons:
    /// instruction-only, response-only, unselected, random, ifd-only, reversed-ifd-only, perplexity
    #[arg(long, default_value_t, help_heading = "Decisions")]
    pub method: Ablation,
    /// Final set: published (answer replaced, IFD and reversed IFD below 1), either-change or everything
    /// [default: published for selective and response-only, else everything]
    #[arg(long, help_heading = "Decisions")]
    pub rule: Option<Rule>,
    /// At most so many records in the final set, those of highest IFD below 1
    #[arg(long, help_heading = "Decisions")]
    pub budget: Option<usize>,
    /// Seed of the coin of `--method random`
    #[arg(long, default_value_t = 0, help_heading = "Decisions")]
    pub seed: u64,
    /// The student's request to guess an instruction, with {response} for the answer
    #[arg(long, help_heading = "Decisions")]
    pub request: Option<String>,
    /// Texts that are too long for the student: it scores the part that fits, as published, or not at
    /// all if a target is cut
    #[arg(long, value_enum, default_value = "keep-prefix", help_heading = "Decisions")]
    pub truncation: TruncationKind,
    /// Records that are worked on together
    #[arg(long, default_value_t = 64)]
    pub wave: usize,
    /// Padded tokens of one batch of the student
    #[arg(long, default_value_t = 2048)]
    pub token_budget: usize,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

impl Flags {
    /// Opens and checks the records.
    ///
    /// # Errors
    /// The file and line of the first row that cannot be read.
    pub fn open(&self) -> Result<Dataset> {
        self.text.open(&self.pool)
    }

    /// How the student scores: as published, with this template and length.
    ///
    /// # Errors
    /// An unknown template, or settings that cannot be honoured.
    pub fn scoring(&self) -> Result<ScoreParams> {
        let published = Preset::Reflection.scoring();
        let params = ScoreParams {
            template: Template::parse(&self.text.template, Some(&self.text.target_lang))?,
            max_length: self.text.max_length,
            truncation: self.truncation.into(),
            target_language: Some(self.text.target_lang.clone()),
            token_budget: self.token_budget,
            request: self.request.clone().unwrap_or(published.request),
            ..published
        };
        Ok(params.check()?)
    }

    /// How records are reflected on.
    pub fn params(&self) -> ReflectionParams {
        let published = ReflectionParams::ablation(self.method);
        ReflectionParams {
            rule: self.rule.unwrap_or(published.rule),
            budget: self.budget,
            decoding: self.teacher.decoding(published.decoding.max_tokens),
            seed: self.seed,
            wave: self.wave,
            ..published
        }
    }
}
