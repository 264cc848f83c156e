//! How many records went which way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::{Outcome, Reason};
use crate::{Unreadable, Verdict};

/// How many records went which way, for a summary of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// By the [name](Verdict::name) of the verdict about instruction and answer.
    pub instruction: BTreeMap<String, usize>,
    /// By the name of the verdict about the answer.
    pub response: BTreeMap<String, usize>,
    /// Records about which a question had no reply for a reason that may pass: run again, only they are
    /// asked about.
    pub unanswered: usize,
    /// Replies of either step that could not be read, by what was wrong with them.
    pub unreadable: BTreeMap<String, usize>,
    /// By the reason for which a record is in the final set or not.
    pub reasons: BTreeMap<Reason, usize>,
}

impl Counts {
    /// Of outcomes.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut counts = Self::default();
        let add = |to: &mut BTreeMap<String, usize>, name: &str| {
            *to.entry(name.to_owned()).or_default() += 1;
        };
        for outcome in outcomes {
            let history = &outcome.history;
            let steps = [&history.instruction_reflection, &history.response_reflection];
            counts.unanswered += usize::from(history.is_unanswered());
            add(&mut counts.instruction, steps[0].verdict.name());
            add(&mut counts.response, steps[1].verdict.name());
            for step in steps {
                if let Verdict::Unreadable { why } = &step.verdict {
                    add(&mut counts.unreadable, why.name());
                }
            }
            *counts.reasons.entry(outcome.reason).or_default() += 1;
        }
        counts
    }
}

impl Unreadable {
    /// Its name, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Stopped { .. } => "stopped",
            Self::Missing { .. } => "missing",
            Self::Unclosed { .. } => "unclosed",
            Self::Doubled { .. } => "doubled",
            Self::StrayEnd => "stray_end",
            Self::TextBehindEnd { .. } => "text_behind_end",
            Self::Order { .. } => "order",
            Self::Empty { .. } => "empty",
            Self::Placeholder { .. } => "placeholder",
        }
    }
}
