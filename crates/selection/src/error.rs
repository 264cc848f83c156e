//! The one error of this crate.

use tamis_artifact::{ArtifactError, ParameterError};
use tamis_dataset::{DatasetError, SampleId};

use crate::scorer::BoxError;
use crate::targets::TargetError;

/// Why scoring or choosing could not go on. A row that cannot be scored is no error: it has a reason in place of a score.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// The data could not be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A stage could not be written or read, or was made from something else.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A scorer failed as a whole.
    #[error("scorer {scorer}: {source}")]
    Scorer {
        /// Its columns.
        scorer: String,
        /// What it said.
        source: BoxError,
    },
    /// A scorer did not answer with as many scores as there are samples, or columns of one.
    #[error("scorer {scorer} gave {found} scores, expected {expected}")]
    Count {
        /// Its columns.
        scorer: String,
        /// How many scores it gave.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A parameter out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A column that the scores do not have.
    #[error("there is no column `{column}`; the scores have {known}")]
    Column {
        /// What was asked for.
        column: String,
        /// What there is.
        known: String,
    },
    /// A selector needs what the candidates do not have.
    #[error("the selector looks at {what}, which the candidates do not have; give them")]
    Needs {
        /// `scores`, `vectors`.
        what: &'static str,
    },
    /// Something of the candidates has not one entry a row.
    #[error("there are {found} {what} for {expected} candidates; expected one each")]
    Rows {
        /// `ids`, `scores`, `vectors`, `groups`.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there should be.
        expected: usize,
    },
    /// A selection of a row that there is not, or of one row twice.
    #[error("row {position} of {rows} is chosen, but it is beyond them or chosen already")]
    Position {
        /// The row.
        position: usize,
        /// Rows there are.
        rows: usize,
    },
    /// A score that cannot be ranked.
    #[error("candidate `{id}` (row {index}) has {column} {value}, which is not a finite number")]
    NotFinite {
        /// The candidate.
        id: SampleId,
        /// Its 0-based row.
        index: usize,
        /// The column.
        column: String,
        /// The score.
        value: f64,
    },
    /// The rows promised to groups are more than are to be chosen at all.
    #[error(
        "the groups are promised {promised} rows together, but only {budget} are to be chosen; \
         choose more rows, or promise fewer"
    )]
    Quota {
        /// Rows promised, as far as the groups have them.
        promised: usize,
        /// Rows to choose.
        budget: usize,
    },
    /// A quota names a group that no candidate belongs to.
    #[error("there is no candidate of group `{group}`; the groups are {known}")]
    UnknownGroup {
        /// The group.
        group: String,
        /// Groups that there are.
        known: String,
    },
    /// Scores against targets that make no sense, or too few for the budget.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// A selector failed as a whole.
    #[error(transparent)]
    Selector(BoxError),
    /// A line of a file of numbers that is none.
    #[error("{file}, line {line}: {reason}")]
    Numbers {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("reading {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
}
