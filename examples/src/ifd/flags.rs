//! The command line of `ifd`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, ValueEnum};
use serde::Serialize;
use tamis::dataset::{Dataset, Format, Template, Truncation};
use tamis::ifd_scoring::{DirectContext, Measure, Measures, Preset, Ratio, ScoreParams};
use tamis::selection::Take;
use tamis::selection::selectors::{ByScore, ColumnFilter, Order, Quota};

use crate::{ExportFlags, ModelFlags, open_rows};

/// Scores rows by instruction-following difficulty (IFD) and chooses by it.
///
/// A preset says how; any flag below changes what it says.
///
/// Written to --out: selected.*, the chosen rows as they came; scores.jsonl, one line a row with its
/// scores, whether it was selected, and the reason; run.json and report.html. Where a score is null,
/// `ifd_reason` (of `ifd`, `ppl_cond`, `ppl_direct`) or `r_ifd_reason` says why, if it was asked for.
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
    /// Published way of scoring and filtering: cherry, superfiltering or reflection
    #[arg(long, default_value_t = Preset::Superfiltering)]
    pub preset: Preset,

    /// Format of the pool; told from extension and first row if not given
    #[arg(long)]
    pub format: Option<Format>,
    /// Leave rows out that cannot be read (listed in run.json) instead of stopping at the first
    #[arg(long)]
    pub skip_bad_rows: bool,
    /// How a row becomes text: none, alpaca, vicuna, chat or translation [default: the preset's]
    #[arg(long)]
    pub template: Option<String>,
    /// Language that translation rows are translated into
    #[arg(long, default_value = "English")]
    pub target_lang: String,
    /// Longest text in tokens
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Longer texts: reject them if the target is cut, or keep the part that fits [default: the
    /// preset's]
    #[arg(long, value_enum)]
    pub truncation: Option<TruncationKind>,

    /// What is computed, separated by commas [default: the preset's]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub measures: Vec<MeasureKind>,
    /// Ratio of perplexities or of mean losses [default: the preset's]
    #[arg(long, value_enum)]
    pub ratio: Option<RatioKind>,
    /// What stands before the answer alone: what begins a text, or also the template's cue to answer
    /// [default: the preset's]
    #[arg(long, value_enum)]
    pub direct: Option<DirectKind>,
    /// Request to guess the instruction, with {response} for the answer; for r-ifd
    #[arg(long)]
    pub request: Option<String>,

    /// Score to rank by: ifd, `r_ifd`, `ppl_cond` or `ppl_direct`; of any, the highest are taken
    /// first unless --lowest-first is given
    #[arg(long, default_value_t = Measure::Ifd)]
    pub rank: Measure,
    /// Take the lowest scores first, which is what `r_ifd` and perplexities usually want
    #[arg(long)]
    pub lowest_first: bool,
    /// Bound that every chosen row keeps, such as 'ifd<1' or 'ifd>=0.2'; may be repeated [default:
    /// the preset's]
    #[arg(long, conflicts_with = "no_bounds")]
    pub bound: Vec<ColumnFilter>,
    /// No bounds, not even the preset's
    #[arg(long)]
    pub no_bounds: bool,
    /// Rows to choose [default: all within the bounds]
    #[arg(long, conflicts_with = "share")]
    pub count: Option<usize>,
    /// Share to choose, from 0 to 1, of --base
    #[arg(long)]
    pub share: Option<f64>,
    /// What --share is a share of: all rows, or the survivors of the bounds
    #[arg(long, value_enum, default_value = "all", requires = "share")]
    pub base: BaseKind,
    /// Field of a row (JSON) or column (Parquet) that says which group it belongs to
    #[arg(long)]
    pub group_field: Option<String>,
    /// What groups are promised: none, proportional, at-least:N, at-most:N or GROUP=N,GROUP=N
    #[arg(long, default_value_t)]
    pub quota: Quota,

    /// Padded tokens of one batch; a GPU wants many more
    #[arg(long, default_value_t = 1024)]
    pub token_budget: usize,
    /// Rows written (and redone after an interruption) together
    #[arg(long, default_value_t = 512)]
    pub shard_rows: usize,
    /// CPU threads [default: all]
    #[arg(long)]
    pub threads: Option<NonZeroUsize>,
}

/// What can be computed.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureKind {
    /// Perplexity of the answer after its instruction.
    Ppl,
    /// Instruction-following difficulty.
    Ifd,
    /// Its reverse.
    #[value(name = "r-ifd", alias = "r_ifd")]
    RIfd,
}

/// How two terms become one number.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RatioKind {
    /// Of perplexities.
    Perplexity,
    /// Of mean losses.
    Loss,
}

/// What stands before the target in the direct term.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectKind {
    /// What begins a text.
    Begin,
    /// That and the cue to answer.
    Cue,
}

/// What happens to texts beyond the length limit.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TruncationKind {
    /// No score if a target is cut.
    RejectCut,
    /// A score from the targets that fit.
    KeepPrefix,
}

impl From<TruncationKind> for Truncation {
    fn from(kind: TruncationKind) -> Self {
        match kind {
            TruncationKind::RejectCut => Self::RejectCut,
            TruncationKind::KeepPrefix => Self::KeepPrefix,
        }
    }
}

/// What a share is a share of.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseKind {
    /// All rows.
    All,
    /// Rows within the bounds.
    Survivors,
}

impl Flags {
    /// Opens and checks the pool.
    ///
    /// # Errors
    /// The file and line of the first row that cannot be read.
    pub fn open(&self) -> Result<Dataset> {
        open_rows(&self.pool, self.format, self.skip_bad_rows, false)
    }

    /// How rows are scored: the preset, with what was changed.
    ///
    /// # Errors
    /// Settings that cannot be honoured.
    pub fn scoring(&self) -> Result<ScoreParams> {
        let mut params = self.preset.scoring();
        params.max_length = self.max_length;
        params.token_budget = self.token_budget;
        params.shard_rows = self.shard_rows;
        params.target_language = Some(self.target_lang.clone());
        if let Some(name) = &self.template {
            params.template = Template::parse(name, Some(&self.target_lang))?;
        }
        if let Some(truncation) = self.truncation {
            params.truncation = truncation.into();
        }
        if !self.measures.is_empty() {
            let has = |kind| self.measures.contains(&kind);
            params.measures = Measures {
                ppl: has(MeasureKind::Ppl),
                ifd: has(MeasureKind::Ifd),
                r_ifd: has(MeasureKind::RIfd),
            };
        }
        if let Some(ratio) = self.ratio {
            params.ratio = match ratio {
                RatioKind::Perplexity => Ratio::Perplexity,
                RatioKind::Loss => Ratio::Loss,
            };
        }
        if let Some(direct) = self.direct {
            params.direct = match direct {
                DirectKind::Begin => DirectContext::Begin,
                DirectKind::Cue => DirectContext::Cue,
            };
        }
        if let Some(request) = &self.request {
            ensure!(
                params.measures.r_ifd,
                "--request is for r_ifd, but {}",
                self.not_computed("r-ifd")
            );
            params.request.clone_from(request);
        }
        Ok(params.check()?)
    }

    /// Why a score is not computed, and what to do about it.
    fn not_computed(&self, measure: &str) -> String {
        if self.measures.is_empty() {
            format!(
                "the preset {} does not compute it; list all that is to be computed, {measure} \
                 among it, with --measures",
                self.preset
            )
        } else {
            format!("--measures leaves it out; add {measure} to it")
        }
    }

    /// How rows are chosen: the preset, with what was changed. A bound of the preset's on a score
    /// that was explicitly not asked for is left out.
    ///
    /// # Errors
    /// A quota without groups, a ranking by or a bound on a score that is not computed.
    pub fn selection(&self) -> Result<ByScore> {
        ensure!(
            self.quota == Quota::None || self.group_field.is_some(),
            "--quota needs groups: name the field that holds them with --group-field"
        );
        let measures = self.scoring()?.measures;
        let computed = |measure| match measure {
            Measure::PplCond => measures.ppl || measures.ifd,
            Measure::PplDirect | Measure::Ifd => measures.ifd,
            Measure::RIfd => measures.r_ifd,
        };
        let mut filters = Vec::new();
        let mut deciding = Vec::new();
        let preset =
            if self.bound.is_empty() { self.preset.selection().filters } else { Vec::new() };
        for bound in preset.iter().chain(&self.bound).filter(|_| !self.no_bounds) {
            let measure: Measure = bound.column.parse()?;
            if !self.bound.is_empty() || self.measures.is_empty() || computed(measure) {
                filters.push(bound.clone());
                deciding.push(measure);
            }
        }
        deciding.push(self.rank);
        for measure in deciding {
            let wanted = match measure {
                Measure::PplCond => "ppl",
                Measure::PplDirect | Measure::Ifd => "ifd",
                Measure::RIfd => "r-ifd",
            };
            ensure!(
                computed(measure),
                "{measure} decides about rows (--rank, --bound), but {}",
                self.not_computed(wanted)
            );
        }
        let take = match (self.count, self.share, self.base) {
            (Some(count), ..) => Take::Count(count),
            (None, Some(share), BaseKind::All) => Take::ShareOfAll(share),
            (None, Some(share), BaseKind::Survivors) => Take::Share(share),
            (None, None, _) => Take::All,
        };
        let order = if self.lowest_first { Order::LowestFirst } else { Order::HighestFirst };
        Ok(ByScore { rank: self.rank.to_string(), order, filters, take, quota: self.quota.clone() })
    }
}
