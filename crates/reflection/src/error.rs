//! The one error of this crate.

use std::error::Error;
use std::path::PathBuf;

use tamis_artifact::ArtifactError;
use tamis_metrics::MetricsError;

/// Why reflection or judging cannot go on.
///
/// What goes wrong with one record (a reply that is cut, a marker that is missing) is not an error but
/// that record's outcome: see [`NoReply`](crate::NoReply) and [`Unreadable`](crate::Unreadable).
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

    /// A prompt is not what it must be.
    #[error("prompt {file}, line {line}: {reason}")]
    Prompt {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What was found, and what was expected.
        reason: String,
    },

    /// A folder of prompts cannot be used.
    #[error("folder of prompts {}: {reason}", .path.display())]
    PromptFolder {
        /// The folder or a file in it.
        path: PathBuf,
        /// What was found, and what was expected.
        reason: String,
    },

    /// A teacher or a student does not do what its trait says.
    #[error("the {who} is faulty: {what}")]
    Faulty {
        /// `teacher` or `student`.
        who: &'static str,
        /// What it did, and what it should have done.
        what: String,
    },

    /// A journal holds a record at a place where the data has another.
    #[error(
        "{}: record {position} (from 0) is `{found}`, but the data has `{expected}` there; the journal was edited or is another run's: use another one",
        .path.display()
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// The place.
        position: usize,
        /// Whose record it holds.
        found: String,
        /// Whose record it should be.
        expected: String,
    },

    /// Judgements cannot be compared.
    #[error(transparent)]
    Metrics(#[from] MetricsError),

    /// The asking was given up because the rest of the run failed. No caller sees it: what failed is
    /// reported instead.
    #[error("the run has failed elsewhere, so no more is asked")]
    GivenUp,
}
