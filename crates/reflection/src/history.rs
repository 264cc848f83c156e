//! What happened to a record.

use std::fmt;

use serde::{Deserialize, Serialize};
use tamis_dataset::{Reason as NoScore, SampleId};

use crate::student::Measure;
use crate::{NoReply, NotARow, Row, Unreadable, Usage};

/// Everything that happened to one record: a line of the journal, but for its place in the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The record.
    pub id: SampleId,
    /// Its 0-based row in the file.
    pub index: usize,
    /// As it came, or why it cannot be reflected on.
    #[serde(flatten)]
    pub original: Original,
    /// What became of the proposal for instruction and answer.
    pub instruction_reflection: Step,
    /// What became of the proposal for the answer.
    pub response_reflection: Step,
    /// As it is now; `None` if it cannot be reflected on, and so is as it came.
    #[serde(rename = "final")]
    pub last: Option<Row>,
    /// IFD as it is now, where the rule needed it or a decision had it computed.
    pub ifd: Option<f64>,
    /// Reversed IFD as it is now, likewise.
    pub r_ifd: Option<f64>,
    /// Why a score of the record as it is now could not be had, if the rule or a decision asked for one.
    pub unscorable: Option<NoScore>,
}

/// A record as it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Original {
    /// Its texts.
    Original(Row),
    /// It has another shape.
    NotReflected(NotARow),
}

/// One question to the teacher and the decision about its proposal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// How it ended.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The teacher's criticism or, for a reply that cannot be read, the reply: its first 4,000 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub critique: Option<String>,
    /// What the record would become.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub proposal: Option<Row>,
    /// What decided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub measure: Option<Measure>,
    /// Score of the record without the proposal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<f64>,
    /// Score of the proposal.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<f64>,
    /// Tokens of the reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub usage: Option<Usage>,
}

/// How a step ended. Only [`Taken`](Self::Taken) changes the record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The teacher was not asked.
    #[default]
    NotAsked,
    /// The proposal was taken.
    Taken,
    /// The proposal is not better, or the coin fell so.
    Refused,
    /// The proposal says what is there already: there is nothing to decide.
    Unchanged,
    /// One of the two cannot be scored, and so they cannot be compared.
    Unscorable {
        /// Which of the two; the one before if both.
        which: Side,
        /// Why.
        why: NoScore,
    },
    /// There is no proposal in the reply.
    Unreadable {
        /// Why.
        why: Unreadable,
    },
    /// There is no reply.
    NoReply {
        /// Why.
        why: NoReply,
    },
}

impl Verdict {
    /// Its name, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::Taken => "taken",
            Self::Refused => "refused",
            Self::Unchanged => "unchanged",
            Self::Unscorable { .. } => "unscorable",
            Self::Unreadable { .. } => "unreadable",
            Self::NoReply { .. } => "no_reply",
        }
    }
}

/// One of the two texts of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The record without the proposal.
    Before,
    /// The proposal.
    After,
}

/// Why a record is in the final set or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// It is: the rule and, if there is one, the budget take it.
    Selected,
    /// It has another shape than instruction and answer.
    NotReflected,
    /// Its answer was not replaced.
    ResponseNotReplaced,
    /// Neither its instruction nor its answer was replaced.
    Unchanged,
    /// Its IFD is 1 or more: the answer does not fit the instruction.
    IfdTooHigh,
    /// Its reversed IFD is 1 or more: the answer does not let the instruction be guessed.
    ReversedIfdTooHigh,
    /// The student could not score it.
    Unscorable,
    /// Others have a higher IFD, and the budget is spent.
    BeyondBudget,
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Selected => "selected",
            Self::NotReflected => "no instruction and answer to reflect on",
            Self::ResponseNotReplaced => "the answer was not replaced",
            Self::Unchanged => "neither instruction nor answer was replaced",
            Self::IfdTooHigh => "IFD is not below 1",
            Self::ReversedIfdTooHigh => "reversed IFD is not below 1",
            Self::Unscorable => "the student cannot score it",
            Self::BeyondBudget => "others have a higher IFD",
        })
    }
}

/// A record's history and what was decided about it: a line of `scores.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What happened to it.
    #[serde(flatten)]
    pub history: History,
    /// Whether it is in the final set.
    pub selected: bool,
    /// Why.
    pub reason: Reason,
}

/// A record of the final set as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlpacaRow {
    /// The record.
    pub id: SampleId,
    /// Instruction, input and output.
    #[serde(flatten)]
    pub row: Row,
}

impl History {
    /// Whether any text of it was replaced.
    pub fn is_changed(&self) -> bool {
        [&self.instruction_reflection, &self.response_reflection]
            .into_iter()
            .any(|step| step.verdict == Verdict::Taken)
    }

    /// Whether a question about it had no reply for a reason that may pass. Such a record is in no journal, so
    /// that the next run asks again.
    pub fn is_unanswered(&self) -> bool {
        [&self.instruction_reflection, &self.response_reflection]
            .into_iter()
            .any(|step| matches!(&step.verdict, Verdict::NoReply { why } if why.may_pass()))
    }

    /// The record as it is now, if it is not as it came. What is as it came is best written from the data
    /// set, with all its fields.
    pub fn rewritten(&self) -> Option<AlpacaRow> {
        let row = self.last.as_ref().filter(|_| self.is_changed())?;
        Some(AlpacaRow { id: self.id.clone(), row: row.clone() })
    }
}

impl Outcome {
    /// The record as it is now; `None` for one that cannot be reflected on.
    pub fn alpaca_row(&self) -> Option<AlpacaRow> {
        let row = self.history.last.clone()?;
        Some(AlpacaRow { id: self.history.id.clone(), row })
    }
}
