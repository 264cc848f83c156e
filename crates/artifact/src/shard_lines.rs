//! Shards of JSON lines.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{ArtifactError, Store, StoreWriter};

/// The bytes of a shard with a line of JSON for each item. [`Store::read_lines`] reads it.
///
/// # Errors
/// [`ArtifactError::BadField`] for an item that has no JSON form.
pub fn to_lines<T: Serialize>(items: &[T]) -> Result<Vec<u8>, ArtifactError> {
    let mut bytes = Vec::new();
    for (line, item) in (1..).zip(items) {
        serde_json::to_writer(&mut bytes, item)
            .map_err(|source| ArtifactError::BadField { field: format!("line {line}"), source })?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

impl Store {
    /// The items of a shard that [`to_lines`] made.
    ///
    /// # Errors
    /// As [`read`](Self::read), or a line that is not as expected.
    pub fn read_lines<T: DeserializeOwned>(&self, shard: &str) -> Result<Vec<T>, ArtifactError> {
        from_lines(&self.read(shard)?, &self.dir().join(shard))
    }
}

impl StoreWriter {
    /// As [`Store::read_lines`], of a shard that is committed.
    ///
    /// # Errors
    /// The same.
    pub fn read_lines<T: DeserializeOwned>(&self, shard: &str) -> Result<Vec<T>, ArtifactError> {
        from_lines(&self.read(shard)?, &self.dir().join(shard))
    }
}

fn from_lines<T: DeserializeOwned>(
    bytes: &[u8],
    path: &std::path::Path,
) -> Result<Vec<T>, ArtifactError> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    lines
        .filter(|(_, line)| !line.is_empty())
        .map(|(at, line)| {
            serde_json::from_slice(line).map_err(|source| ArtifactError::ShardLine {
                path: path.to_owned(),
                line: at + 1,
                source,
            })
        })
        .collect()
}
