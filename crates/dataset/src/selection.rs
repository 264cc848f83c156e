//! Decisions: which candidates were chosen, each with its reason.

use serde::{Deserialize, Serialize};

use crate::sample::SampleId;

/// What was decided about one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The candidate's id.
    pub id: SampleId,
    /// Its 0-based row in the pool.
    pub index: usize,
    /// Whether it was chosen.
    pub selected: bool,
    /// Why, in a few words a reader of `scores.jsonl` understands.
    pub reason: String,
}

/// The outcome of a selection: one decision per candidate, in the order of the pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// One per candidate, in the order of the pool.
    pub decisions: Vec<Decision>,
}

impl Selection {
    /// The chosen candidates, in the order of the pool.
    pub fn selected(&self) -> impl Iterator<Item = &Decision> {
        self.decisions.iter().filter(|decision| decision.selected)
    }

    /// How many were chosen.
    pub fn count(&self) -> usize {
        self.selected().count()
    }
}

/// A rule that turns scores, or rows, and a budget into decisions.
///
/// `Input` is whatever the rule looks at (a score matrix, gradient rows, …). A selector decides about every candidate,
/// chooses at most `budget` of them, and gives equal decisions for equal input.
pub trait Selector {
    /// What the rule looks at.
    type Input: ?Sized;
    /// What can go wrong.
    type Error;

    /// Decides about every candidate of `input`, choosing at most `budget`.
    ///
    /// # Errors
    /// As the rule defines.
    fn select(&self, input: &Self::Input, budget: usize) -> Result<Selection, Self::Error>;
}
