//! Settings that reproduce published scoring.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::{Template, Truncation};

use tamis_selection::Filter;
use tamis_selection::selectors::{ByScore, ColumnFilter};

use crate::{DirectContext, IfdError, Measure, Measures, Ratio, ScoreParams};

/// A published way of scoring and filtering.
///
/// | preset | template | direct term | ratio | kept |
/// | --- | --- | --- | --- | --- |
/// | `cherry` (arXiv 2308.12032) | Alpaca | after the cue to answer | of losses | IFD ≤ 1 |
/// | `superfiltering` (2402.00530) | none | alone | of perplexities | IFD < 1 |
/// | `reflection` (2402.10110) | Vicuna | alone | of perplexities | IFD < 1 and r-IFD < 1 |
///
/// The first drops samples that are too long, the others score what fits. All rank by IFD, highest
/// first. What no preset reproduces: targets found by searching text and measured by tokenizing
/// prefixes, first targets that count in one term only, and failures turned into zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Cherry data selection, in its first form.
    Cherry,
    /// Superfiltering, meant for a small scorer.
    Superfiltering,
    /// The student of Selective Reflection-Tuning.
    Reflection,
}

impl Preset {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cherry, Self::Superfiltering, Self::Reflection];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cherry => "cherry",
            Self::Superfiltering => "superfiltering",
            Self::Reflection => "reflection",
        }
    }

    /// Its scoring.
    pub fn scoring(self) -> ScoreParams {
        let default = ScoreParams::default();
        match self {
            Self::Cherry => ScoreParams {
                template: Template::Alpaca,
                direct: DirectContext::Cue,
                ratio: Ratio::Loss,
                truncation: Truncation::RejectCut,
                ..default
            },
            Self::Superfiltering => ScoreParams {
                template: Template::None,
                truncation: Truncation::KeepPrefix,
                ..default
            },
            Self::Reflection => ScoreParams {
                template: Template::Vicuna,
                measures: Measures::ALL,
                truncation: Truncation::KeepPrefix,
                ..default
            },
        }
    }

    /// Its filter; how many of the survivors are taken is for the caller to say.
    pub fn selection(self) -> ByScore {
        let filter = |measure: Measure, filter| ColumnFilter::new(measure.name(), filter);
        let filters = match self {
            Self::Cherry => vec![filter(Measure::Ifd, Filter::AtMost(1.0))],
            Self::Superfiltering => vec![filter(Measure::Ifd, Filter::Below(1.0))],
            Self::Reflection => vec![
                filter(Measure::Ifd, Filter::Below(1.0)),
                filter(Measure::RIfd, Filter::Below(1.0)),
            ],
        };
        ByScore { filters, ..ByScore::new(Measure::Ifd.name()) }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Preset {
    type Err = IfdError;

    fn from_str(name: &str) -> Result<Self, IfdError> {
        let found = Self::ALL.into_iter().find(|preset| preset.name() == name);
        let expected = "cherry, superfiltering or reflection";
        found.ok_or_else(|| ParameterError::new("preset", name, expected).into())
    }
}
