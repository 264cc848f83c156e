//! Typed outcomes: a sample either has a result or a reason why it cannot have one, never a magic number.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sample::SampleId;

/// Why a sample has no result.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// There is no text to learn: the answer is missing, empty or whitespace.
    EmptyTarget,
    /// The length limit cuts away text to learn (how much is enough depends on [`Truncation`](crate::Truncation)).
    TargetTruncated,
    /// No token is left that is both supervised and predicted from a token before it.
    TooFewTokens,
    /// The model gave a loss, gradient or score that is not a finite number.
    NonFinite,
    /// The template cannot write it: a turn of a role that it does not know, roles in an order that it refuses, an answer
    /// whose place in the text it does not tell. In the template's own words.
    Refused(String),
    /// The tokenizer cannot read its text, and what it says.
    Untokenizable(String),
    /// A conversation of more than one question and answer, where only one has a place.
    SeveralTurns,
    /// Nothing stands before its answer that the answer could be predicted from.
    NoPrompt,
    /// Its text is too long for the model or the limit given.
    TooLong {
        /// Tokens of the text, those of the text that it is read with included.
        tokens: usize,
        /// The most that are allowed.
        limit: usize,
        /// The longest text that it is read with, if it is read with one.
        with: Option<SampleId>,
    },
    /// Something else, in words.
    Other(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::EmptyTarget => f.write_str("the target is empty"),
            Reason::TargetTruncated => f.write_str("the length limit cuts the target"),
            Reason::TooFewTokens => f.write_str("no target token has a token before it"),
            Reason::NonFinite => f.write_str("the result is not a finite number"),
            Reason::Refused(words) => write!(f, "the template cannot write it: {words}"),
            Reason::Untokenizable(words) => {
                write!(f, "the tokenizer cannot read its text: {words}")
            }
            Reason::SeveralTurns => {
                f.write_str("the conversation is not one question and one answer")
            }
            Reason::NoPrompt => f.write_str("no token of a prompt stands before its answer"),
            Reason::TooLong { tokens, limit, with: Some(other) } => {
                write!(f, "{tokens} tokens with `{other}`, at most {limit} are read")
            }
            Reason::TooLong { tokens, limit, with: None } => {
                write!(f, "{tokens} tokens, at most {limit} are read")
            }
            Reason::Other(words) => f.write_str(words),
        }
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
        reason: Reason,
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
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Outcome::Scored(_) => None,
            Outcome::Unscorable { reason, .. } => Some(reason),
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

/// A row without a result, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its id.
    pub id: SampleId,
    /// Its position in the source.
    pub index: usize,
    /// Why it has none.
    pub reason: Reason,
}
