//! The one error of this crate.

use tamis_artifact::{ArtifactError, ParameterError};
use tamis_clustering::ClusteringError;
use tamis_dataset::{DatasetError, Reason, SampleId};
use tamis_model::ModelError;

/// Why scoring or selecting could not go on. A candidate that cannot be scored is no error: it gets
/// a [`Reason`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NuggetsError {
    /// The choice could not be put together.
    #[error(transparent)]
    Selection(#[from] tamis_selection::SelectionError),
    /// LibTorch refused an operation.
    #[error("LibTorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The model could not be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data could not be read, or are not what the template is for.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Stored scores could not be written, read, or belong to another run.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The representatives could not be found.
    #[error(transparent)]
    Clustering(#[from] ClusteringError),
    /// A parameter is out of its range.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// There is nothing to measure candidates by.
    #[error("there is no anchor; give at least one row that candidates are to help with")]
    NoAnchors,
    /// An anchor cannot be scored.
    #[error("anchor `{id}` (row {index}) cannot be used: {reason}; leave it out or replace it")]
    Anchor {
        /// The anchor.
        id: SampleId,
        /// Its 0-based row.
        index: usize,
        /// What is wrong with it.
        reason: Reason,
    },
    /// Fewer clusters have a row than representatives are asked for.
    #[error(
        "{asked} representatives are asked for, but k-means found rows for {found} clusters only: \
         too few of the {rows} rows differ; ask for fewer"
    )]
    Representatives {
        /// Representatives asked for.
        asked: usize,
        /// Clusters that have a row.
        found: usize,
        /// All rows.
        rows: usize,
    },
    /// Scores whose candidates were not measured by the anchors they are said to be of.
    #[error("candidate `{id}` (row {index}) has {found} rises, but there are {expected} anchors")]
    Rises {
        /// The candidate.
        id: SampleId,
        /// Its 0-based row.
        index: usize,
        /// Rises it has.
        found: usize,
        /// Anchors.
        expected: usize,
    },
}
