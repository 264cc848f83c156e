//! `scores.jsonl` and other tables of one JSON object a line.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use tamis_artifact::{AtomicFile, write_atomic};

use crate::{ReportError, find_non_finite};

/// Writes one row a line and returns how many there were.
///
/// The file appears complete or not at all: rows go to a hidden sibling, which is synced to the
/// disk and renamed at the end. Rows are taken one at a time, so memory does not grow with them.
///
/// # Errors
/// [`ReportError::NonFinite`] if a row holds a NaN or an infinity (JSON would silently make it
/// `null`); `None` is written as `null`. [`ReportError::Encode`] if a row is not JSON for another
/// reason, [`ReportError::Artifact`] if the disk refuses. After an error an earlier file of that name
/// is as it was.
pub fn write_jsonl<R>(path: impl AsRef<Path>, rows: R) -> Result<u64, ReportError>
where
    R: IntoIterator,
    R::Item: Serialize,
{
    let path = path.as_ref();
    let mut file = AtomicFile::create(path)?;
    let mut line = Vec::new();
    let mut count = 0;
    for row in rows {
        line.clear();
        encode(path, &row, &mut line, || name_row(count, &row))?;
        // Outside of strings a line break is mere space in JSON, and inside it is escaped. Only
        // pre-formatted (raw) values have any.
        for byte in &mut line {
            if matches!(*byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        line.push(b'\n');
        file.put(&line)?;
        count += 1;
    }
    file.commit()?;
    Ok(count)
}

/// One value as pretty JSON with a final line break, atomically, non-finite floats refused.
pub(crate) fn write_pretty<T: Serialize>(path: &Path, value: &T) -> Result<(), ReportError> {
    let row = || "the record".to_owned();
    refuse_non_finite(path, value, row)?;
    let mut text = serde_json::to_vec_pretty(value).map_err(|source| ReportError::Encode {
        path: path.to_owned(),
        row: row(),
        source,
    })?;
    text.push(b'\n');
    Ok(write_atomic(path, &text)?)
}

fn encode<T: Serialize>(
    path: &Path,
    value: &T,
    line: &mut Vec<u8>,
    row: impl Fn() -> String,
) -> Result<(), ReportError> {
    refuse_non_finite(path, value, &row)?;
    serde_json::to_writer(line, value).map_err(|source| ReportError::Encode {
        path: path.to_owned(),
        row: row(),
        source,
    })
}

pub(crate) fn refuse_non_finite<T: Serialize>(
    path: &Path,
    value: &T,
    row: impl Fn() -> String,
) -> Result<(), ReportError> {
    match find_non_finite(value) {
        None => Ok(()),
        Some(found) => Err(ReportError::NonFinite {
            path: path.to_owned(),
            row: row(),
            field: found.field,
            value: found.value.to_string(),
        }),
    }
}

/// "row 12 (id `a-7`)": rows counted from 0, the id if the row has a field of that name.
pub(crate) fn name_row<T: Serialize>(index: u64, row: &T) -> String {
    let value = serde_json::to_value(row).unwrap_or(Value::Null);
    match value.get("id") {
        Some(Value::String(id)) => format!("row {index} (id `{id}`)"),
        Some(id) => format!("row {index} (id {id})"),
        None => format!("row {index}"),
    }
}
