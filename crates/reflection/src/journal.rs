//! What all journals of this crate have in common.

use std::path::Path;

use tamis_dataset::SampleId;

use crate::ReflectionError;

/// Refuses a journal whose records are not the first of the data.
pub(crate) fn check_places<'a>(
    path: &Path,
    found: impl Iterator<Item = &'a SampleId>,
    mut expected: impl Iterator<Item = &'a SampleId>,
) -> Result<(), ReflectionError> {
    for (position, id) in found.enumerate() {
        let expected = expected.next();
        if expected != Some(id) {
            return Err(ReflectionError::Journal {
                path: path.to_owned(),
                position,
                found: id.to_string(),
                expected: expected.map_or("nothing".to_owned(), ToString::to_string),
            });
        }
    }
    Ok(())
}
