//! The command line of `nuggets`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use tamis::dataset::{Dataset, Format, Template};
use tamis::nuggets::{GoldenParams, GoldenRule, OwnPair, Ties};

use crate::{ExportFlags, Exports, ModelFlags, open_rows};

/// Scores rows by the share of anchors that they help with as a one-shot example (Nuggets), and
/// chooses by it.
///
/// Every row of the pool is put before every anchor, so the work is rows × anchors: begin with a
/// small model, or with rows that another program has filtered.
///
/// Written to --out: selected.*, the chosen rows as they came; scores.jsonl, one line a row with its
/// golden score, its mean rise, whether it was selected, and the reason; run.json and report.html;
/// rises/, what each row does for each anchor, from which another choice is made in seconds.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(version)]
pub struct Flags {
    /// The scorer.
    #[command(flatten)]
    pub model: ModelFlags,
    /// Rows to score
    #[arg(long)]
    pub pool: PathBuf,
    /// Folder for results and for everything needed to go on after an interruption
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Further forms of the results.
    #[command(flatten)]
    pub exports: ExportFlags,

    /// Rows that stand for the tasks to help with [default: rows of the pool, see --anchor-count]
    #[arg(long, value_name = "FILE", conflicts_with = "anchor_count")]
    pub anchors: Option<PathBuf>,
    /// Anchors to draw from the pool: the rows nearest to the centres of as many k-means clusters of
    /// the model's mean hidden states
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    pub anchor_count: usize,
    /// Longest row in tokens that is drawn as an anchor: a long one leaves no room for examples
    /// before it [default: half of --max-length]
    #[arg(long, conflicts_with = "anchors")]
    pub anchor_tokens: Option<usize>,
    /// Seed of the clusters
    #[arg(long, default_value_t = 0)]
    pub seed: u64,

    /// Rows to choose, those with the highest golden scores [default: all that reach --threshold]
    #[arg(long, required_unless_present = "threshold")]
    pub budget: Option<usize>,
    /// Least golden score of a chosen row, from 0 to 1; the paper uses 0.8 and 0.85
    #[arg(long)]
    pub threshold: Option<f64>,
    /// Which of several rows with one golden score goes first: the first of the pool, or the one
    /// with the higher mean rise
    #[arg(long, value_enum, default_value = "index")]
    pub ties: TiesKind,
    /// Also count how a row helps itself, where it is an anchor, as the published code does
    #[arg(long)]
    pub count_own: bool,

    /// Format of the pool; told from extension and first row if not given
    #[arg(long)]
    pub format: Option<Format>,
    /// Leave rows out that cannot be read (listed in run.json) instead of stopping at the first
    #[arg(long)]
    pub skip_bad_rows: bool,
    /// How a row becomes text: alpaca, vicuna, chat (the tokenizer's own), none or translation
    #[arg(long, default_value = "alpaca")]
    pub template: String,
    /// Language that translation rows are translated into
    #[arg(long, default_value = "English")]
    pub target_lang: String,
    /// Text between example and anchor [default: an empty line; with the chat template nothing]
    #[arg(long)]
    pub separator: Option<String>,
    /// Longest one-shot text in tokens; rows that are too long before the longest anchor are left
    /// out, with that reason [default: 1024, or what the model reads if that is less]
    #[arg(long)]
    pub max_length: Option<usize>,

    /// Padded tokens of one batch; a GPU wants many more
    #[arg(long, default_value_t = 1024)]
    pub token_budget: usize,
    /// Rows written (and redone after an interruption) together
    #[arg(long, default_value_t = 16)]
    pub shard_rows: usize,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// Which of several rows with one golden score goes first.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TiesKind {
    /// The first of the pool.
    Index,
    /// The one with the higher mean rise.
    MeanRise,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1 is needed".to_owned()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}")),
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
    /// The file and line of the first row that cannot be read.
    pub fn open(&self) -> Result<Dataset> {
        open_rows(&self.pool, self.format, self.skip_bad_rows, false)
    }

    /// How rows are scored by a model that reads texts up to `longest`.
    ///
    /// # Errors
    /// Settings that cannot be honoured.
    pub fn scoring(&self, longest: usize) -> Result<GoldenParams> {
        let usual = GoldenParams::default();
        if let Some(length) = self.max_length {
            ensure!(
                length <= longest,
                "--max-length is {length}, but the model reads at most {longest}"
            );
        }
        let params = GoldenParams {
            template: Template::parse(&self.template, Some(&self.target_lang))?,
            target_language: Some(self.target_lang.clone()),
            separator: self.separator.clone(),
            max_length: self.max_length.unwrap_or(usual.max_length.min(longest)),
            token_budget: self.token_budget,
            shard_rows: self.shard_rows,
        };
        Ok(params.check()?)
    }

    /// The most tokens of a row that is drawn as an anchor, where a one-shot text has `max_length`.
    ///
    /// # Errors
    /// A length in which no anchor fits.
    pub fn anchor_tokens(&self, max_length: usize) -> Result<usize> {
        let tokens = self.anchor_tokens.unwrap_or(max_length / 2);
        ensure!(
            (2..max_length).contains(&tokens),
            "--anchor-tokens is {tokens}; expected 2 to {}, so that an example fits before the \
             anchor",
            max_length - 1
        );
        Ok(tokens)
    }

    /// How rows are chosen.
    ///
    /// # Errors
    /// A threshold that is no share.
    pub fn rule(&self) -> Result<GoldenRule> {
        let rule = GoldenRule {
            threshold: self.threshold,
            ties: match self.ties {
                TiesKind::Index => Ties::Index,
                TiesKind::MeanRise => Ties::MeanRise,
            },
            own: if self.count_own { OwnPair::Counted } else { OwnPair::LeftOut },
        };
        Ok(rule.check()?)
    }
}
