//! Everything that can go wrong while outputs are written.

use std::io;
use std::path::PathBuf;

/// Why an output could not be written, or a record not be read back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb: "read", "list", ...
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An output could not be written; an earlier file of that name is as it was.
    #[error(transparent)]
    Artifact(#[from] tamis_artifact::ArtifactError),
    /// A number that JSON cannot hold.
    #[error(
        "{}: {row} holds {value} in field `{field}`: JSON has no such number; write a null with a \
         reason for what could not be scored",
        path.display()
    )]
    NonFinite {
        /// The file that was being written; it is left as it was before.
        path: PathBuf,
        /// Which row: "row 12 (id `a-7`)", or "the record" in a file of one value.
        row: String,
        /// Path of the field inside the row, such as `scores[3].mean`.
        field: String,
        /// "NaN", "inf" or "-inf".
        value: String,
    },
    /// A value that cannot be turned into JSON for another reason.
    #[error("{}: {row} cannot be written as JSON: {source}", path.display())]
    Encode {
        /// The file that was being written; it is left as it was before.
        path: PathBuf,
        /// Which row, as in [`ReportError::NonFinite`].
        row: String,
        /// What the encoder said.
        source: serde_json::Error,
    },
    /// A Parquet file that its library cannot write.
    #[error("cannot write {} as Parquet: {reason}", path.display())]
    Parquet {
        /// The file; it is left as it was before.
        path: PathBuf,
        /// What the library said.
        reason: String,
    },
    /// A row of a table that is not an object with named fields.
    #[error("{}: {row} is {found}; rows of a table are objects with named fields", path.display())]
    NotAnObject {
        /// The file that was being written; it is left as it was before.
        path: PathBuf,
        /// Which row, as in [`ReportError::NonFinite`].
        row: String,
        /// What the row is.
        found: &'static str,
    },
    /// A record that is not what this version writes.
    #[error("{}: not a run record: {source}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What the decoder said, with line and column.
        source: serde_json::Error,
    },
    /// Parts of a report that do not fit together.
    #[error("{what}: found {found}, expected {expected}")]
    Mismatch {
        /// What was given, such as "values of score `mean`".
        what: String,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// Rows for [`pca_2d`](crate::pca_2d) could not be read.
    #[error("principal components: {0}")]
    Vectors(#[from] tamis_selection::vectors::VectorsError),
    /// A matrix for [`pca_2d`](crate::pca_2d) with a NaN or infinite entry.
    #[error(
        "principal components: row {row}, column {column} holds {value}: leave rows out that \
         could not be computed"
    )]
    NonFiniteEntry {
        /// Row of the matrix, from 0.
        row: usize,
        /// Column of the matrix, from 0.
        column: usize,
        /// The value.
        value: f32,
    },
    /// The plotting library refused; not expected for any data.
    #[error("cannot draw plot `{title}`: {reason}")]
    Plot {
        /// Title of the plot.
        title: String,
        /// What the library said.
        reason: String,
    },
}
