//! Embeddings as one `.npy` file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Embeddings, EmbeddingsError, npy};

/// Numbers written in one go.
const CHUNK: usize = 1 << 18;

impl Embeddings {
    /// Writes all rows as a `.npy` file of f32, which numpy reads and [`open`](Self::open) maps as
    /// one piece. It has no place for ids. The file appears complete or not at all.
    ///
    /// # Errors
    /// [`EmbeddingsError::Io`] if it cannot be written; an older file is then still there.
    pub fn write_npy(&self, path: impl AsRef<Path>) -> Result<(), EmbeddingsError> {
        let path = path.as_ref();
        let temporary = temporary_of(path);
        let result = self.write_to(&temporary).and_then(|()| fs::rename(&temporary, path));
        if result.is_err() {
            // Gives the space back. The first failure is the one to report, so this one's is dropped.
            let _ = fs::remove_file(&temporary);
        }
        result.map_err(EmbeddingsError::io("write", path))
    }

    fn write_to(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&npy::preamble(self.len(), self.columns()))?;
        let step = (CHUNK / self.columns()).max(1);
        let (mut scratch, mut bytes) = (Vec::new(), Vec::new());
        for first in (0..self.len()).step_by(step) {
            let values = self.block(first, step.min(self.len() - first), &mut scratch);
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            file.write_all(&bytes)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

/// `.<name>.tmp` beside a file.
fn temporary_of(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}
