//! Groups of rows, from a field that the rows themselves have.

use anyhow::{Result, ensure};
use serde_json::Value;
use tamis::dataset::Dataset;

/// The value of `field` in every row of the pool; rows without it have no group.
///
/// # Errors
/// A pool of which no row has the field or whose format has no fields, or a file that cannot be
/// read.
pub fn groups(pool: &Dataset, field: &str) -> Result<Vec<Option<String>>> {
    let values = pool.field(field)?;
    ensure!(
        values.iter().any(Option::is_some),
        "--group-field: no row of {} has a field `{field}`",
        pool.path().display()
    );
    let name = |value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(values.into_iter().map(|value| value.map(name)).collect())
}
