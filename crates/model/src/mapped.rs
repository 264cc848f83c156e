//! Memory-mapped files: the one place that maps memory.
#![allow(unsafe_code)] // a mapping is only as stable as the file under it

use std::{fs::File, path::Path};

use memmap2::Mmap;

use crate::ModelError;

/// Maps a whole file for reading.
///
/// A mapping is dropped as soon as the weights are copied out of it, so it lives for the seconds
/// that loading takes.
pub(crate) fn map(path: &Path) -> Result<Mmap, ModelError> {
    let file = File::open(path).map_err(ModelError::io(path))?;
    // SAFETY: the bytes are only read, and copied into tensors of their own before the mapping
    // ends. What remains is a file that another process shortens in that time, which the system
    // answers by ending this process; whoever replaces weights must rename a new file over the old
    // one, as `save_pretrained` does.
    unsafe { Mmap::map(&file) }.map_err(ModelError::io(path))
}
