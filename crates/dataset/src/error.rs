//! Everything that can go wrong, in words: what was found, where, what was expected, what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::format::Format;
use crate::sample::SampleId;

/// A row that could not be read, and why. Strict reading stops with it; skipping reading collects it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reject {
    /// The file.
    pub file: PathBuf,
    /// The 1-based line on which the row starts; for Parquet, which has no lines, the 1-based row.
    pub line: u64,
    /// The field at fault, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What was found and what was expected.
    pub reason: String,
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} {}", self.file.display(), line_or_row(&self.file), self.line)?;
        if let Some(field) = &self.field {
            write!(f, ", field `{field}`")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What the rows of a file are counted by.
fn line_or_row(file: &Path) -> &'static str {
    if file.extension().is_some_and(|ext| ext == "parquet") { "row" } else { "line" }
}

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The operating system refused to open or read a file (missing, no permission …).
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried: `open`, `read`, …
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A position beyond the rows of a source.
    #[error("row {position} was asked for, but there are {len} rows (counted from 0)")]
    Position {
        /// The position.
        position: usize,
        /// How many rows there are.
        len: usize,
    },

    /// A source gave another number of rows than it was asked for.
    #[error("a source gave {found} rows for {expected} positions; expected one each")]
    Rows {
        /// Rows given.
        found: usize,
        /// Positions asked for.
        expected: usize,
    },

    /// Two rows of a source have one id, so results could not be joined to them.
    #[error(
        "row {position} (counted from 0) has the id `{id}`, which a row before it has; give every row an id of its own \
         (`Sample::with_id`)"
    )]
    SameId {
        /// The id.
        id: SampleId,
        /// The second row that has it.
        position: usize,
    },

    /// A source of another crate failed.
    #[error("the source of the rows failed: {0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// A file could not be written.
    #[error(transparent)]
    Artifact(#[from] tamis_artifact::ArtifactError),

    /// A row is not what its format says.
    #[error("{0} (correct the row, or skip bad rows with `OnError::Skip`)")]
    Row(Reject),

    /// Two rows give the same id, so artefacts could not be joined.
    #[error(
        "{}, {} {line}: the id `{id}` was used before, on {} {first} \
         (make the ids unique, or skip later rows with `OnError::Skip`)",
        .file.display(), line_or_row(.file), line_or_row(.file)
    )]
    DuplicateId {
        /// The file.
        file: PathBuf,
        /// The later row's line.
        line: u64,
        /// The earlier row's line.
        first: u64,
        /// The id both give.
        id: SampleId,
    },

    /// The file as a whole breaks off or does not hang together, so no row after this place can be trusted.
    #[error("{}, line {line}: {reason}", .file.display())]
    Structure {
        /// The file.
        file: PathBuf,
        /// Where.
        line: u64,
        /// What was found and expected.
        reason: String,
    },

    /// There is no row in the file.
    #[error("{}: no rows (the file is empty, or holds only blank lines)", .0.display())]
    Empty(PathBuf),

    /// Skipping left nothing: every row was rejected.
    #[error("{}: all {count} rows were rejected; the first: {first}", .file.display())]
    AllRejected {
        /// The file.
        file: PathBuf,
        /// How many rows there were.
        count: usize,
        /// The first of them.
        first: Reject,
    },

    /// The format could not be told from the file.
    #[error(
        "{}: the format cannot be told: {found}. State it: one of {}",
        .file.display(), Format::names().join(", ")
    )]
    UnknownFormat {
        /// The file.
        file: PathBuf,
        /// What was seen: the extension, the keys of the first row.
        found: String,
    },

    /// The format and the way of opening do not fit together.
    #[error("{}: {reason}", .file.display())]
    FormatMismatch {
        /// The file.
        file: PathBuf,
        /// What does not fit, and what to do.
        reason: String,
    },

    /// Two parallel text files have different numbers of lines.
    #[error(
        "{} has {source_lines} lines and {} has {target_lines}: line n of one must translate line n of the other",
        .source_file.display(), .target_file.display()
    )]
    ParallelLength {
        /// The file of sources.
        source_file: PathBuf,
        /// Its lines.
        source_lines: u64,
        /// The file of targets.
        target_file: PathBuf,
        /// Its lines.
        target_lines: u64,
    },

    /// The file is no longer the one that was opened.
    #[error("{} has changed since it was opened: {found}; open it again", .file.display())]
    Changed {
        /// The file.
        file: PathBuf,
        /// What differs.
        found: String,
    },

    /// A position beyond the rows there are.
    #[error("row {position} was asked for, but {} has {len} accepted rows", .file.display())]
    OutOfRange {
        /// The file.
        file: PathBuf,
        /// The position asked for.
        position: usize,
        /// How many there are.
        len: usize,
    },

    /// A Parquet file that its library cannot read or write.
    #[error("cannot {action} {} as Parquet: {reason}", .file.display())]
    Parquet {
        /// What was tried.
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// What the library said.
        reason: String,
    },

    /// A parameter outside its range.
    #[error(transparent)]
    Parameter(#[from] tamis_artifact::ParameterError),

    /// A token budget of 0 leaves no batch possible.
    #[error("the token budget of a batch is 0; it must be at least 1")]
    ZeroTokenBudget,

    /// A tokenizer file is missing, malformed, or disagrees with another.
    #[error("{}: {reason}", .file.display())]
    Tokenizer {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },

    /// A name that is no template, or a template without what it needs.
    #[error("template: {0}")]
    Template(String),

    /// A sample that the template cannot render or make a prompt of.
    #[error("sample `{id}` (row {index}) does not fit the {template} template: {reason}")]
    Render {
        /// The sample.
        id: SampleId,
        /// Its 0-based row.
        index: usize,
        /// The template's name.
        template: &'static str,
        /// Why not, and what to do.
        reason: String,
    },

    /// A sample that a trainer's file cannot express.
    #[error("sample `{id}` (row {index}) cannot be exported as {format}: {reason}")]
    Export {
        /// The sample.
        id: SampleId,
        /// Its 0-based row.
        index: usize,
        /// The form's name.
        format: &'static str,
        /// Why not.
        reason: String,
    },

    /// The tokenizer failed on a prompt.
    #[error("sample `{id}` (row {index}) could not be tokenized: {reason}")]
    Tokenize {
        /// The sample.
        id: SampleId,
        /// Its 0-based row.
        index: usize,
        /// What the tokenizer said.
        reason: String,
    },
}

/// Names the action and the file of an input/output failure.
pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DatasetError {
    let path = path.to_owned();
    move |source| DatasetError::Io { action, path, source }
}

impl DatasetError {
    /// The error of a [`Source`](crate::Source) of your own.
    pub fn source(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Source(error.into())
    }
}
