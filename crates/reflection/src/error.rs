//! The one error of this crate.

use std::error::Error;

use tamis_artifact::ArtifactError;

/// Why reflection or judging cannot go on.
///
/// What goes wrong with one record (a reply that is cut, a marker that is missing) is not an error but
/// that record's outcome: see [`NoReply`](crate::NoReply).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReflectionError {
    /// A parameter has a value that makes no sense.
    #[error("`{name}` is {found}, expected {expected}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: String,
    },

    /// A journal or a cache cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),

    /// The student could not score.
    #[error("the student cannot score: {0}")]
    Student(#[source] Box<dyn Error + Send + Sync>),
}
