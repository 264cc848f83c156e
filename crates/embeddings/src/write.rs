//! Embeddings as one `.npy` file.

use std::path::Path;

use tamis_artifact::AtomicFile;

use crate::{Embeddings, EmbeddingsError, npy};

/// Numbers written in one go.
const CHUNK: usize = 1 << 18;

impl Embeddings {
    /// Writes all rows as a `.npy` file of f32, which numpy reads and [`open`](Self::open) maps as
    /// one piece. It has no place for ids. The file appears complete or not at all.
    ///
    /// # Errors
    /// [`EmbeddingsError::Artifact`] if it cannot be written; an older file is then still there.
    pub fn write_npy(&self, path: impl AsRef<Path>) -> Result<(), EmbeddingsError> {
        let mut file = AtomicFile::create(path.as_ref())?;
        file.put(npy::preamble(self.len(), self.columns()))?;
        let step = (CHUNK / self.columns()).max(1);
        let (mut scratch, mut bytes) = (Vec::new(), Vec::new());
        for first in (0..self.len()).step_by(step) {
            let values = self.block(first, step.min(self.len() - first), &mut scratch);
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            file.put(&bytes)?;
        }
        file.commit()?;
        Ok(())
    }
}
