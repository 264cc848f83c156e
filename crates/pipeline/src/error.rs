//! The one error of this crate.

use tamis_artifact::{ArtifactError, ParameterError};
use tamis_dataset::{DatasetError, SampleId};

use crate::BoxError;

/// Why a pipeline could not go on. A row that cannot be scored is no error: it has a reason in place of a score.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The data could not be read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A stage could not be written or read, or was made from something else.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A scorer failed as a whole.
    #[error("scorer {scorer}: {source}")]
    Scorer {
        /// Its name.
        scorer: String,
        /// What it said.
        source: BoxError,
    },
    /// A scorer did not answer with one score for each sample.
    #[error("scorer {scorer} gave {found} scores for {expected} samples; expected one each")]
    Count {
        /// Its name.
        scorer: String,
        /// How many scores it gave.
        found: usize,
        /// How many samples there were.
        expected: usize,
    },
    /// A parameter out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Decisions about other rows.
    #[error(
        "the selection decides about {found}, expected {expected}: it was made from other rows"
    )]
    OtherRows {
        /// What the selection has.
        found: String,
        /// What the rows have.
        expected: String,
    },
    /// An id that none of the rows has.
    #[error("none of the {rows} rows has the id `{id}`")]
    UnknownId {
        /// The id.
        id: SampleId,
        /// How many rows there are.
        rows: usize,
    },
    /// A shard that is not what this crate writes.
    #[error("{shard}: {reason}; delete the folder and score again")]
    Shard {
        /// Its name.
        shard: String,
        /// What is wrong.
        reason: String,
    },
}
