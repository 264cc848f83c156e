//! Groups of rows, from a field that the rows themselves have.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tamis::dataset::Dataset;

/// The value of `field` in every row of the pool; rows without it have no group.
///
/// Rows are read as they are written back, through a file in `out` that is removed again: the data
/// crate gives out texts, not fields it does not know.
///
/// # Errors
/// A pool of which no row has the field, or a file that cannot be written or read.
pub fn groups(pool: &Dataset, field: &str, out: &Path) -> Result<Vec<Option<String>>> {
    let folder = out.join("groups.tmp");
    let found = read(pool, field, &folder);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    let found = found?;
    ensure!(
        found.iter().any(Option::is_some),
        "--group-field: no row of {} has a field `{field}`",
        pool.path().display()
    );
    Ok(found)
}

fn read(pool: &Dataset, field: &str, folder: &Path) -> Result<Vec<Option<String>>> {
    let all: Vec<usize> = (0..pool.len()).collect();
    let files = pool.write_rows(&all, folder, "rows")?;
    let rows = files.first().context("the rows were not written")?;
    let mut groups = Vec::with_capacity(all.len());
    for line in BufReader::new(File::open(rows)?).lines() {
        let row: Value = serde_json::from_str(&line?)?;
        groups.push(match row.get(field) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        });
    }
    Ok(groups)
}
