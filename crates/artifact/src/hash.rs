//! BLAKE3 of bytes and files, as 64 lower-case hexadecimal digits.

use std::fs::File;
use std::path::Path;

use crate::ArtifactError;

/// BLAKE3 of some bytes.
pub fn hash_bytes(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// BLAKE3 of a file's bytes, read in pieces: a file of any size takes the same memory.
pub fn hash_file(path: impl AsRef<Path>) -> Result<String, ArtifactError> {
    let path = path.as_ref();
    let file = File::open(path).map_err(ArtifactError::io("open", path))?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file).map_err(ArtifactError::io("read", path))?;
    Ok(hasher.finalize().to_hex().to_string())
}
