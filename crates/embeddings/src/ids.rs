//! Ids of rows.

use std::collections::HashMap;
use std::path::Path;

use crate::EmbeddingsError;

/// Refuses two rows with one id: joins are by id.
pub(crate) fn check_unique(ids: &[String], path: &Path) -> Result<(), EmbeddingsError> {
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(ids.len());
    for (second, id) in ids.iter().enumerate() {
        if let Some(first) = seen.insert(id, second) {
            let (path, id) = (path.to_owned(), id.clone());
            return Err(EmbeddingsError::DuplicateId { path, id, first, second });
        }
    }
    Ok(())
}
