//! Opening embeddings, whatever they are kept in.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::embeddings::Found;
use crate::{Embeddings, EmbeddingsError, artefact, npy, safetensors_file};

/// What can be read, for messages.
const READABLE: &str = if cfg!(feature = "parquet") {
    ".npy, .safetensors and .parquet files and from the folder of an embedding run"
} else {
    ".npy and .safetensors files and from the folder of an embedding run"
};

/// Where in a file the embeddings are, if it is not plain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenOptions {
    /// The tensor of a safetensors file; if not named, it must be the only one with two dimensions
    /// and floating-point numbers.
    pub tensor: Option<String>,
    /// The column of a Parquet file; if not named, it must be the only one of lists of
    /// floating-point numbers.
    pub column: Option<String>,
    /// The column of a Parquet file with the ids, texts or whole numbers; if not named, `id` if
    /// there is one.
    pub id_column: Option<String>,
}

impl Embeddings {
    /// Opens `.npy`, `.safetensors`, `.parquet` or the folder of an [`EmbeddingStore`], told by the
    /// ending of the name.
    ///
    /// [`EmbeddingStore`]: crate::EmbeddingStore
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EmbeddingsError> {
        Self::open_with(path, &OpenOptions::default())
    }

    /// Opens embeddings that lie in a named tensor or column.
    ///
    /// All rows are looked at once: a file larger than the memory is read through. Of an artefact,
    /// checksums are verified too.
    ///
    /// # Errors
    /// What cannot be read (another layout, number type or shape, a truncated file, rows of several
    /// lengths), what is missing or ambiguous, and rows that are not finite, by number and id.
    pub fn open_with(
        path: impl AsRef<Path>,
        options: &OpenOptions,
    ) -> Result<Self, EmbeddingsError> {
        let path = path.as_ref();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let ending = if path.is_dir() { "/".to_owned() } else { ending.to_ascii_lowercase() };
        let (tensors, columns) = (ending == "safetensors", ending == "parquet");
        for (option, given, fits, kind) in [
            ("tensor", &options.tensor, tensors, ".safetensors"),
            ("column", &options.column, columns, "Parquet"),
            ("id column", &options.id_column, columns, "Parquet"),
        ] {
            if given.is_some() && !fits {
                return Err(EmbeddingsError::Option { path: path.to_owned(), option, kind });
            }
        }
        let found = match ending.as_str() {
            "/" => artefact::read(path)?,
            "npy" => npy::read(path)?,
            "safetensors" => safetensors_file::read(path, options.tensor.as_deref())?,
            "parquet" => parquet(path, options)?,
            "npz" => {
                let problem = "it is an archive of arrays; save the one you mean with numpy.save";
                return Err(unknown(path, problem.to_owned()));
            }
            "" => return Err(unknown(path, missing_or("its name has no ending", path))),
            other => {
                let problem = missing_or(&format!("`.{other}` is not known"), path);
                return Err(unknown(path, problem));
            }
        };
        Self::checked(path, found)
    }
}

/// A name that is wrong is more often that of no file at all.
fn missing_or(problem: &str, path: &Path) -> String {
    if path.exists() { problem.to_owned() } else { "there is no such file or folder".to_owned() }
}

fn unknown(path: &Path, problem: String) -> EmbeddingsError {
    EmbeddingsError::UnknownFormat { path: path.to_owned(), problem, readable: READABLE }
}

#[cfg(feature = "parquet")]
fn parquet(path: &Path, options: &OpenOptions) -> Result<Found, EmbeddingsError> {
    crate::parquet_file::read(path, options.column.as_deref(), options.id_column.as_deref())
}

#[cfg(not(feature = "parquet"))]
fn parquet(path: &Path, _: &OpenOptions) -> Result<Found, EmbeddingsError> {
    let problem = "this build cannot read Parquet (feature `parquet`)";
    Err(unknown(path, problem.to_owned()))
}
