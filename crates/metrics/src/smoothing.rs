//! What BLEU does with an order of which no n-gram matched.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::MetricsError;

/// What is done about an order of which no n-gram matched, whose logarithm would make BLEU zero
/// (numbered as in Chen and Cherry, 2014).
///
/// As a word: `none`, `floor`, `add-k`, `exp`, with another value than the default `floor=0.01`, `add-k=2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Smoothing {
    /// Nothing: BLEU is 0.
    None,
    /// This many matches instead of 0 (method 1; 0.1 in the paper).
    Floor(f64),
    /// So many matches and n-grams more for every order above 1 (method 2; 1 in the paper).
    AddK(f64),
    /// ½ match for the first such order, ¼ for the second, and so on (method 3, that of
    /// `mteval-v13a.pl`).
    #[default]
    Exp,
}

/// The words there are.
const WORDS: &str = "none, floor, floor=NUMBER, add-k, add-k=NUMBER, exp";

impl Smoothing {
    /// # Errors
    /// [`MetricsError::Parameter`] if its value is not a finite number above 0.
    pub(crate) fn check(self) -> Result<Self, MetricsError> {
        match self {
            Self::Floor(value) | Self::AddK(value) => {
                let possible = value.is_finite() && value > 0.0;
                ParameterError::require(possible, "smoothing", self, "a finite value above 0")?;
            }
            Self::None | Self::Exp => {}
        }
        Ok(self)
    }

    /// The word in signatures, which have two decimals.
    pub(crate) fn signature(self) -> String {
        match self {
            Self::None => "none".to_owned(),
            Self::Floor(value) => format!("floor[{value:.2}]"),
            Self::AddK(value) => format!("add-k[{value:.2}]"),
            Self::Exp => "exp".to_owned(),
        }
    }
}

impl fmt::Display for Smoothing {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => out.pad("none"),
            Self::Floor(value) => out.pad(&format!("floor={value}")),
            Self::AddK(value) => out.pad(&format!("add-k={value}")),
            Self::Exp => out.pad("exp"),
        }
    }
}

impl FromStr for Smoothing {
    type Err = MetricsError;

    fn from_str(word: &str) -> Result<Self, MetricsError> {
        let unknown = || MetricsError::Unknown {
            what: "smoothing",
            found: word.to_owned(),
            expected: WORDS.to_owned(),
        };
        let (name, value) = match word.split_once('=') {
            None => (word, None),
            Some((name, value)) => (name, Some(value.parse::<f64>().map_err(|_| unknown())?)),
        };
        match (name, value) {
            ("none", None) => Ok(Self::None),
            ("exp", None) => Ok(Self::Exp),
            ("floor", value) => Self::Floor(value.unwrap_or(0.1)).check(),
            ("add-k", value) => Self::AddK(value.unwrap_or(1.0)).check(),
            _ => Err(unknown()),
        }
    }
}
