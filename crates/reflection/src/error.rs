//! The one error of this crate.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use tamis_artifact::{ArtifactError, ParameterError};
use tamis_metrics::MetricsError;

use crate::NoReply;

/// Why reflection or judging cannot go on.
///
/// What goes wrong with one record (a reply that is cut, a marker that is missing) is not an error but
/// that record's outcome: see [`NoReply`](crate::NoReply) and [`Unreadable`](crate::Unreadable).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReflectionError {
    /// A parameter has a value that makes no sense.
    #[error(transparent)]
    Parameter(#[from] ParameterError),

    /// A journal or a cache cannot be read or written.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Rows that cannot be read, or that share an id.
    #[error(transparent)]
    Dataset(#[from] tamis_dataset::DatasetError),

    /// A file of answers does not hold what was looked for.
    #[error("{} holds {found}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
    },

    /// The key for a teacher is not in the environment.
    #[error(
        "there is no key for {address}: the environment variable `{variable}` is not set; set it, or name another one"
    )]
    NoKey {
        /// The teacher's address.
        address: String,
        /// Where the key was looked for.
        variable: String,
    },

    /// What the environment holds cannot be a key.
    #[error("the environment variable `{variable}` holds no key: {reason}")]
    BadKey {
        /// The variable.
        variable: String,
        /// What is wrong with it; never any part of it.
        reason: &'static str,
    },

    /// A teacher does not accept the key, or asks for one.
    #[error("{address} refuses access with status {status} ({reason}); {advice}")]
    Access {
        /// The teacher's address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        reason: String,
        /// What to do.
        advice: String,
    },

    /// The account at a teacher's service is used up.
    #[error(
        "{address} wants to be paid first (status {status}: {reason}); top up the account and run again: answers so far are kept where there is a cache"
    )]
    Credit {
        /// The teacher's address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },

    /// A teacher does not have the model.
    #[error(
        "{address} does not offer the model `{model}` (status {status}: {reason}); ask it for its list at /models"
    )]
    NoModel {
        /// The teacher's address.
        address: String,
        /// The model.
        model: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },

    /// There is no chat at an address.
    #[error(
        "{address} has no /chat/completions (status {status}: {reason}); check the base URL, which mostly ends in /v1"
    )]
    NoChat {
        /// The teacher's address.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },

    /// A teacher does not take a setting that every request has.
    #[error(
        "{address} does not take the setting `{setting}` (status {status}: {reason}); change it, choose another length field, or leave the setting out by `null` in the extra fields"
    )]
    Setting {
        /// The teacher's address.
        address: String,
        /// The setting, in its words.
        setting: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        reason: String,
    },

    /// A teacher wants no requests for longer than we are ready to wait: mostly a quota that is used up.
    #[error(
        "{address} wants no requests for {seconds} s, more than the longest wait ({reason}); run again then, or allow a longer wait: answers so far are kept where there is a cache"
    )]
    ComeBackLater {
        /// The teacher's address.
        address: String,
        /// What it asked for, rounded up.
        seconds: u64,
        /// What it said.
        reason: String,
    },

    /// A teacher leaves one request after another without a reply.
    #[error(
        "{address} gave no reply to {count} requests in a row, to the last one because: {last}; see to the server and run again, or allow more failures"
    )]
    NoReplies {
        /// The teacher's address.
        address: String,
        /// How many.
        count: u32,
        /// Why the last of them has none.
        last: NoReply,
    },

    /// Nothing listens at a teacher's address, or no safe connection can be made.
    #[error(
        "cannot connect to {address}: {reason} ({attempts} attempts); check that the server runs and the base URL is right, then run again"
    )]
    Unreachable {
        /// The teacher's address.
        address: String,
        /// What the system said.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },

    /// No thread could be started to ask a teacher.
    #[error("cannot start a thread to ask the teacher: {0}; lower the concurrency")]
    Thread(#[source] io::Error),

    /// The teacher in this process cannot answer.
    #[error("the local teacher cannot answer: {0}")]
    Local(#[source] Box<dyn Error + Send + Sync>),

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

    /// A line of a journal is not about the record that the data has at its place.
    #[error(
        "{}: a line says that record {place} (from 0) is `{found}`, but there the data has {expected}; the journal was edited or is another run's: use another one",
        .path.display()
    )]
    Journal {
        /// The journal.
        path: PathBuf,
        /// The place.
        place: usize,
        /// Whose record it holds.
        found: String,
        /// What is there.
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
