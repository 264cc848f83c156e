//! Reasons of decisions, kept small and put into words when they are written.

use std::fmt;
use std::sync::Arc;

use tamis_dataset::Reason;

use crate::filter::{Filter, Take};

/// Why a row was chosen, or why not. Its `Display` is the `reason` of `scores.jsonl`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// It has no score in a column.
    Unscored {
        /// The column.
        column: Arc<str>,
        /// Why it has none.
        reason: Reason,
    },
    /// It passes with this score.
    Scored {
        /// The column.
        column: Arc<str>,
        /// The score.
        value: f64,
    },
    /// Its score does not pass a filter.
    Filtered {
        /// The column.
        column: Arc<str>,
        /// The score.
        value: f64,
        /// The filter; shares as counts.
        filter: Filter,
    },
    /// It does not pass a bound; said without the score, so that equal reasons can be counted.
    Outside {
        /// The column.
        column: Arc<str>,
        /// The bound; shares as counts.
        filter: Filter,
    },
    /// Its rank among those within all bounds, and what became of it.
    Ranked {
        /// The column.
        column: Arc<str>,
        /// Its rank, from 1.
        rank: usize,
        /// Rows that were ranked.
        of: usize,
        /// What became of it.
        fate: Fate,
    },
    /// It has this place by a score, chosen or not.
    Placed {
        /// What the score is called.
        what: Arc<str>,
        /// The score.
        value: f64,
        /// The place.
        place: Place,
    },
    /// Chosen by this rank.
    Rank {
        /// From 1.
        rank: usize,
        /// By what.
        by: Arc<str>,
    },
    /// Chosen because of one task.
    Task {
        /// The task.
        task: Arc<str>,
        /// Its rank among those chosen for it, from 1.
        rank: usize,
    },
    /// Chosen in the turn of a task.
    Turn {
        /// The turn, from 1.
        number: usize,
        /// The task.
        task: Arc<str>,
        /// The target of the task.
        target: Arc<str>,
    },
    /// Anything else, in words that rows share.
    Words(Arc<str>),
}

/// What becomes of a row that all bounds keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Chosen by its rank.
    Chosen,
    /// Chosen as one of those that its group is promised.
    Promised,
    /// Its group has as many as it may have.
    GroupFull(usize),
    /// Ranked among those to be taken, but its room went to what other groups are promised.
    Displaced,
    /// Ranked beyond so many that are taken.
    Beyond(usize),
}

/// A place in a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// Chosen.
    Taken {
        /// From 1.
        number: usize,
        /// The budget.
        of: usize,
    },
    /// Ranked behind those that are chosen.
    Beyond {
        /// From 1.
        number: usize,
        /// The budget.
        budget: usize,
    },
    /// Not ranked: below this bound.
    Below(f64),
}

impl Why {
    /// Words that many rows may share.
    pub fn words(text: impl Into<Arc<str>>) -> Self {
        Self::Words(text.into())
    }
}

impl Fate {
    /// Whether the row is chosen.
    pub fn is_chosen(self) -> bool {
        matches!(self, Self::Chosen | Self::Promised)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unscored { column, reason } => write!(f, "no {column}: {reason}"),
            Self::Scored { column, value } => write!(f, "{column} is {value}"),
            Self::Filtered { column, value, filter } => {
                write!(f, "{column} is {value}, ")?;
                match filter {
                    Filter::AtLeast(bound) => write!(f, "below {bound}"),
                    Filter::Above(bound) => write!(f, "not above {bound}"),
                    Filter::Below(bound) => write!(f, "not below {bound}"),
                    Filter::AtMost(bound) => write!(f, "above {bound}"),
                    Filter::Highest(take) => write!(f, "not among the {} highest", Few(*take)),
                    Filter::Lowest(take) => write!(f, "not among the {} lowest", Few(*take)),
                }
            }
            Self::Outside { column, filter } => write!(f, "not {column} {filter}"),
            Self::Ranked { column, rank, of, fate } => {
                let ranked = format_args!("number {rank} of {of} by {column}");
                match fate {
                    Fate::Chosen => write!(f, "chosen: {ranked}"),
                    Fate::Promised => write!(f, "chosen for its group: {ranked}"),
                    Fate::GroupFull(most) => write!(f, "its group has its {most}: {ranked}"),
                    Fate::Displaced => write!(f, "its room is promised to other groups: {ranked}"),
                    Fate::Beyond(budget) => write!(f, "{ranked}, beyond the {budget} taken"),
                }
            }
            Self::Placed { what, value, place } => match place {
                Place::Taken { number, of } => {
                    write!(f, "{what} {value:.3}: number {number} of {of}")
                }
                Place::Beyond { number, budget } => {
                    write!(f, "{what} {value:.3}: number {number}, beyond {budget}")
                }
                Place::Below(bound) => write!(f, "{what} {value:.3}: below {bound}"),
            },
            Self::Rank { rank, by } => write!(f, "rank {rank} by {by}"),
            Self::Task { task, rank } => write!(f, "task {task}, rank {rank}"),
            Self::Turn { number, task, target } => {
                write!(f, "turn {number} of task {task}, target {target}")
            }
            Self::Words(words) => f.write_str(words),
        }
    }
}

/// How many, in words.
struct Few(Take);

impl fmt::Display for Few {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Take::Count(count) => count.fmt(f),
            other => other.fmt(f),
        }
    }
}
