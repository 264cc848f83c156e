//! Memory-mapped files: the one place that maps memory and looks at its bytes as numbers.
#![allow(unsafe_code)] // a mapping is only as stable as the file under it

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::EmbeddingsError;

/// Maps a whole file for reading. It lives as long as the [`Embeddings`](crate::Embeddings).
pub(crate) fn map(path: &Path) -> Result<Mmap, EmbeddingsError> {
    let file = File::open(path).map_err(EmbeddingsError::io("open", path))?;
    // SAFETY: the bytes are only read, and any bytes are numbers. What remains is a file that
    // another process changes while it is mapped: shortening it makes the system end this process,
    // overwriting it changes the numbers. Whoever replaces embeddings must rename a new file over
    // the old one, as everything in this workspace does that writes files.
    unsafe { Mmap::map(&file) }.map_err(EmbeddingsError::io("map", path))
}

/// The bytes as little-endian f32, where they lie in memory as such.
pub(crate) fn as_f32(bytes: &[u8]) -> Option<&[f32]> {
    if cfg!(target_endian = "big") {
        return None;
    }
    // SAFETY: any four bytes are an f32, and what `align_to` gives as such is aligned.
    let (before, values, after) = unsafe { bytes.align_to::<f32>() };
    (before.is_empty() && after.is_empty()).then_some(values)
}
