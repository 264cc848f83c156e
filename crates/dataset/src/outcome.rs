//! Typed outcomes: a sample either has a result or a reason why it cannot have one, never a magic number.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::SampleId;

/// Why a sample has no score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unscorable {
    /// There is no text to learn: the answer is missing, empty or whitespace.
    EmptyTarget,
    /// The length limit cuts away text to learn (how much is enough depends on [`Truncation`](crate::Truncation)).
    TargetTruncated,
    /// No token is left that is both supervised and predicted from a token before it.
    TooFewTokens,
    /// The model gave a loss, gradient or score that is not a finite number.
    NonFinite,
}

impl fmt::Display for Unscorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unscorable::EmptyTarget => "the target is empty",
            Unscorable::TargetTruncated => "the length limit cuts the target",
            Unscorable::TooFewTokens => "no target token has a token before it",
            Unscorable::NonFinite => "the result is not a finite number",
        })
    }
}

/// A result, or the reason why this sample has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The result.
    Scored(T),
    /// No result: which sample, and why.
    Unscorable {
        /// The sample's id.
        id: SampleId,
        /// Its 0-based row in the file.
        index: usize,
        /// The reason.
        reason: Unscorable,
    },
}

impl<T> Outcome<T> {
    /// The result, if there is one.
    pub fn scored(self) -> Option<T> {
        match self {
            Outcome::Scored(value) => Some(value),
            Outcome::Unscorable { .. } => None,
        }
    }

    /// A reference to the result, if there is one.
    pub fn as_scored(&self) -> Option<&T> {
        match self {
            Outcome::Scored(value) => Some(value),
            Outcome::Unscorable { .. } => None,
        }
    }

    /// The reason, if there is no result.
    pub fn reason(&self) -> Option<Unscorable> {
        match self {
            Outcome::Scored(_) => None,
            Outcome::Unscorable { reason, .. } => Some(*reason),
        }
    }

    /// The same outcome with `f` applied to the result.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Outcome::Scored(value) => Outcome::Scored(f(value)),
            Outcome::Unscorable { id, index, reason } => Outcome::Unscorable { id, index, reason },
        }
    }
}
