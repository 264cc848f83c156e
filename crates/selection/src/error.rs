//! The one error of this crate.

use tamis_artifact::{ArtifactError, ParameterError};
use tamis_dataset::DatasetError;

use crate::BoxError;

/// Why a pipeline could not go on. A row that cannot be scored is no error: it has a reason in place of a score.
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
    /// A shard that is not what this crate writes.
    #[error("{shard}: {reason}; delete the folder and score again")]
    Shard {
        /// Its columns.
        shard: String,
        /// What is wrong.
        reason: String,
    },
}
