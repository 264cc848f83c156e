//! The one error of this crate.

use std::io;
use std::path::{Path, PathBuf};

use tamis_artifact::ArtifactError;
#[cfg(feature = "model")]
use tamis_artifact::ParameterError;

/// Why embeddings could not be read, written or computed. A sample that cannot be embedded is no
/// error: it is [`NoEmbedding`](crate::NoEmbedding).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddingsError {
    /// A file could not be opened, mapped or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `open`, `write`, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system reported.
        source: io::Error,
    },

    /// Neither a kind of file that can be read nor a folder.
    #[error("{}: {problem}; embeddings are read from {readable}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        problem: String,
        /// What can be read.
        readable: &'static str,
    },

    /// A file that is not what its name says.
    #[error("{} is not a readable {kind} file: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// `.npy`, `.safetensors` or Parquet.
        kind: &'static str,
        /// What is wrong with it, and where.
        problem: String,
    },

    /// A file that ends too early or too late.
    #[error(
        "{} has {found} bytes, but its header promises {expected}; it is {what}, write it again",
        path.display(),
        what = if found < expected { "truncated" } else { "longer than one array" }
    )]
    Length {
        /// The file.
        path: PathBuf,
        /// Bytes it has.
        found: u64,
        /// Bytes it should have.
        expected: u64,
    },

    /// An array stored column by column.
    #[error(
        "{} is in Fortran order (column by column); save it as numpy.ascontiguousarray(x)",
        path.display()
    )]
    FortranOrder {
        /// The file.
        path: PathBuf,
    },

    /// Numbers of a kind that cannot be read.
    #[error("{}: {what} holds {found}, expected {expected}", path.display())]
    Dtype {
        /// The file.
        path: PathBuf,
        /// The array, tensor or column.
        what: String,
        /// Its number type.
        found: String,
        /// Number types that can be read.
        expected: &'static str,
    },

    /// An array that is not a table of rows and columns.
    #[error("{}: {what} has the shape {found:?}, expected (rows, columns)", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The array or tensor.
        what: String,
        /// Its shape.
        found: Vec<usize>,
    },

    /// No rows, or rows without columns.
    #[error("{}: there are {rows} rows of {columns} columns, expected at least one of each", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// Rows.
        rows: usize,
        /// Columns.
        columns: usize,
    },

    /// A name that is not in the file, or several places where embeddings may lie.
    #[error("{}: {problem}; it has {found}", path.display())]
    Choice {
        /// The file.
        path: PathBuf,
        /// What was looked for, and what to do.
        problem: String,
        /// The tensors or columns there are.
        found: String,
    },

    /// An option that this kind of file has no use for.
    #[error("{}: a {option} was named, which only {kind} files have", path.display())]
    Option {
        /// The file.
        path: PathBuf,
        /// `tensor`, `column` or `id column`.
        option: &'static str,
        /// The kind of file that has it.
        kind: &'static str,
    },

    /// A row that is missing, or of another length than those before it.
    #[error("{}: row {row} of column `{column}` {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row, from 0.
        row: usize,
        /// The column.
        column: String,
        /// What is wrong with it.
        problem: String,
    },

    /// A NaN or an infinity.
    #[error(
        "{}: {name} holds {value} in column {column}; leave the row out or repair it",
        path.display()
    )]
    NonFinite {
        /// The file or folder.
        path: PathBuf,
        /// The row, from 0.
        row: usize,
        /// `row 3`, with its id if there are ids.
        name: String,
        /// The column, from 0.
        column: usize,
        /// The value as f32; larger numbers of f64 are infinite.
        value: f32,
    },

    /// Two rows with one id.
    #[error("{}: rows {first} and {second} both have the id `{id}`", path.display())]
    DuplicateId {
        /// The file or folder.
        path: PathBuf,
        /// The id.
        id: String,
        /// The first row with it.
        first: usize,
        /// The second.
        second: usize,
    },

    /// Parts of one set of embeddings that do not fit each other.
    #[error("there are {found} {what}, expected {expected}")]
    Mismatch {
        /// What is counted.
        what: &'static str,
        /// How many were given.
        found: usize,
        /// How many there must be.
        expected: String,
    },

    /// A folder of another kind of artefact.
    #[error(
        "{} holds {found}, expected embeddings of format {expected}",
        dir.display()
    )]
    OtherArtefact {
        /// The folder.
        dir: PathBuf,
        /// Kind and format found.
        found: String,
        /// The format this crate reads.
        expected: u32,
    },

    /// A shard that is not what this crate writes.
    #[error("shard {}: {problem}; delete the folder and embed again", path.display())]
    Shard {
        /// The shard.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// The artefact could not be written or read, or belongs to another run.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),

    /// A parameter is out of its range.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Parameter(#[from] ParameterError),

    /// LibTorch refused an operation.
    #[cfg(feature = "model")]
    #[error("LibTorch: {0}")]
    Torch(#[from] tch::TchError),

    /// The model could not be run.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Model(#[from] tamis_model::ModelError),

    /// The data could not be read, or a row does not fit the template.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Dataset(#[from] tamis_dataset::DatasetError),
}

impl EmbeddingsError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn damaged(
        path: &Path,
        kind: &'static str,
        problem: impl Into<String>,
    ) -> EmbeddingsError {
        Self::Damaged { path: path.to_owned(), kind, problem: problem.into() }
    }
}
