//! How a round chooses, and what it has to know for that.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::EvolError;

/// How the records of a round are chosen among those not chosen yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Drawn at random: what every other strategy has to beat.
    Random,
    /// The model's likeliest token is least likely: highest [`Uncertainty::LeastConfidence`] first.
    LeastConfidence,
    /// The two likeliest tokens are closest: lowest [`Uncertainty::Margin`] first.
    Margin,
    /// The prediction is most spread: highest [`Uncertainty::Entropy`] first.
    Entropy,
    /// Again and again the record farthest from all that is chosen, seen with the model of the
    /// round before: the method of the paper.
    #[default]
    KCenter,
    /// As many clusters of the candidates as are to be chosen, and of each the record nearest to its
    /// centre, seen with the model of the round before.
    KMeans,
    /// As [`KCenter`](Self::KCenter), but all rounds are seen with the base model. The rounds are
    /// then pieces of one single pick of the whole budget, and no model has to be trained for it.
    OneShotKCenter,
}

/// How unsure a model is of the response of a record: a mean over its response tokens, each predicted
/// from the prompt and the tokens before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Uncertainty {
    /// 1 − p₁, where p₁ is the probability of the likeliest token.
    LeastConfidence,
    /// p₁ − p₂: the likeliest token's probability less the second's. A *low* margin is unsure.
    Margin,
    /// Entropy of the predicted distribution, in nats.
    Entropy,
}

/// What a strategy has to know of every record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// A row of numbers each.
    Embeddings,
    /// One number each.
    Uncertainty(Uncertainty),
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Random,
        Self::LeastConfidence,
        Self::Margin,
        Self::Entropy,
        Self::KCenter,
        Self::KMeans,
        Self::OneShotKCenter,
    ];

    /// Its name, as in files and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::LeastConfidence => "least-confidence",
            Self::Margin => "margin",
            Self::Entropy => "entropy",
            Self::KCenter => "k-center",
            Self::KMeans => "k-means",
            Self::OneShotKCenter => "one-shot-k-center",
        }
    }

    /// What it has to know; a random draw nothing.
    pub const fn need(self) -> Option<Need> {
        match self {
            Self::Random => None,
            Self::LeastConfidence => Some(Need::Uncertainty(Uncertainty::LeastConfidence)),
            Self::Margin => Some(Need::Uncertainty(Uncertainty::Margin)),
            Self::Entropy => Some(Need::Uncertainty(Uncertainty::Entropy)),
            Self::KCenter | Self::KMeans | Self::OneShotKCenter => Some(Need::Embeddings),
        }
    }

    /// Whether it looks at the pool with the model of the round before.
    pub const fn needs_training(self) -> bool {
        !matches!(self, Self::Random | Self::OneShotKCenter)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl FromStr for Strategy {
    type Err = EvolError;

    fn from_str(word: &str) -> Result<Self, EvolError> {
        Self::ALL.into_iter().find(|strategy| strategy.name() == word).ok_or_else(|| {
            EvolError::UnknownStrategy {
                found: word.to_owned(),
                expected: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}

impl Uncertainty {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeastConfidence => "least confidence",
            Self::Margin => "margin",
            Self::Entropy => "entropy",
        }
    }

    /// Whether low values are the unsure ones.
    pub const fn lowest_first(self) -> bool {
        matches!(self, Self::Margin)
    }
}

impl fmt::Display for Uncertainty {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

impl fmt::Display for Need {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embeddings => out.pad("embeddings"),
            Self::Uncertainty(kind) => write!(out, "numbers ({kind})"),
        }
    }
}
