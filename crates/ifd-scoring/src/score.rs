//! What is known of a sample once it is scored.

use std::fmt;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::{Reason, SampleId};

use crate::Ratio;

/// A number, or why there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measured<T> {
    /// The number; always finite.
    Value(T),
    /// There is none, for this reason.
    Unscorable(Reason),
    /// Nobody asked.
    #[default]
    NotAsked,
}

impl<T> Measured<T> {
    /// The number, if there is one.
    pub fn value(&self) -> Option<T>
    where
        T: Copy,
    {
        match self {
            Self::Value(value) => Some(*value),
            Self::Unscorable(_) | Self::NotAsked => None,
        }
    }

    /// Why there is none, if it was asked for.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Unscorable(reason) => Some(reason),
            Self::Value(_) | Self::NotAsked => None,
        }
    }

    /// `f` of the number.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Measured<U> {
        match self {
            Self::Value(value) => Measured::Value(f(value)),
            Self::Unscorable(reason) => Measured::Unscorable(reason),
            Self::NotAsked => Measured::NotAsked,
        }
    }
}

/// Something finite, or the reason that it is not.
fn finite(value: f64) -> Measured<f64> {
    if value.is_finite() { Measured::Value(value) } else { Measured::Unscorable(Reason::NonFinite) }
}

/// The loss of some target tokens in one context.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Term {
    /// Mean negative log-probability of the targets, in nats.
    pub loss: f64,
    /// How many they are.
    pub targets: usize,
}

/// The same target tokens in two contexts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// L(y|x): after the whole prompt.
    pub conditional: Measured<Term>,
    /// L(y): without it.
    pub direct: Measured<Term>,
}

impl Terms {
    /// exp(L(y|x) − L(y)), or L(y|x) / L(y).
    pub fn ratio(&self, ratio: Ratio) -> Measured<f64> {
        match (&self.conditional, &self.direct) {
            (Measured::Value(conditional), Measured::Value(direct)) => finite(match ratio {
                Ratio::Perplexity => (conditional.loss - direct.loss).exp(),
                Ratio::Loss => conditional.loss / direct.loss,
            }),
            (Measured::NotAsked, _) | (_, Measured::NotAsked) => Measured::NotAsked,
            (Measured::Unscorable(reason), _) | (_, Measured::Unscorable(reason)) => {
                Measured::Unscorable(reason.clone())
            }
        }
    }
}

/// exp(L).
fn perplexity(term: &Measured<Term>) -> Measured<f64> {
    match term {
        Measured::Value(term) => finite(term.loss.exp()),
        Measured::Unscorable(reason) => Measured::Unscorable(reason.clone()),
        Measured::NotAsked => Measured::NotAsked,
    }
}

/// A score by its name in `scores.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Perplexity of the answer after its instruction.
    PplCond,
    /// Perplexity of the answer alone.
    PplDirect,
    /// Instruction-following difficulty.
    Ifd,
    /// Reversed instruction-following difficulty.
    RIfd,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::PplCond, Self::PplDirect, Self::Ifd, Self::RIfd];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::PplCond => "ppl_cond",
            Self::PplDirect => "ppl_direct",
            Self::Ifd => "ifd",
            Self::RIfd => "r_ifd",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Measure {
    type Err = crate::IfdError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|measure| measure.name() == name);
        let expected = "ppl_cond, ppl_direct, ifd or r_ifd";
        found.ok_or_else(|| ParameterError::new("measure", name, expected).into())
    }
}

/// A sample with its terms, and the scores that follow from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleScores {
    /// The sample's id.
    pub id: SampleId,
    /// Its 0-based row in the file.
    pub index: usize,
    /// The answer, given the instruction and alone.
    pub answer: Terms,
    /// The instruction, given the answer and alone.
    pub instruction: Terms,
    /// How terms become a score.
    pub ratio: Ratio,
}

impl SampleScores {
    /// Perplexity of the answer after its instruction, exp(L(y|x)).
    pub fn ppl_cond(&self) -> Measured<f64> {
        perplexity(&self.answer.conditional)
    }

    /// Perplexity of the answer alone, exp(L(y)).
    pub fn ppl_direct(&self) -> Measured<f64> {
        perplexity(&self.answer.direct)
    }

    /// Instruction-following difficulty. High but below 1: the instruction does not help the model
    /// much yet. 1 and more: it does not fit its answer.
    pub fn ifd(&self) -> Measured<f64> {
        self.answer.ratio(self.ratio)
    }

    /// Reversed instruction-following difficulty. Low: the answer tells what was asked.
    pub fn r_ifd(&self) -> Measured<f64> {
        self.instruction.ratio(self.ratio)
    }

    /// The score of this name.
    pub fn measure(&self, measure: Measure) -> Measured<f64> {
        match measure {
            Measure::PplCond => self.ppl_cond(),
            Measure::PplDirect => self.ppl_direct(),
            Measure::Ifd => self.ifd(),
            Measure::RIfd => self.r_ifd(),
        }
    }
}
