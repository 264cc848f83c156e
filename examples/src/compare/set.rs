//! A selection: which rows of the pool are in it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{Flags, Named, Pool};
use crate::open_rows;

/// Rows that are read at a time.
const CHUNK: usize = 4096;

/// Some rows of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// What it is called.
    pub name: String,
    /// The file that says what is in it.
    pub path: PathBuf,
    /// Positions of its rows in the pool, ascending.
    pub positions: Vec<usize>,
}

impl Set {
    /// Reads a selection.
    ///
    /// # Errors
    /// A file that cannot be read, that chooses nothing, or that names a row that the pool lacks or
    /// names one twice.
    pub fn read(named: &Named, flags: &Flags, pool: &Pool) -> Result<Self> {
        let path = if named.path.is_dir() {
            let path = named.path.join("scores.jsonl");
            ensure!(
                path.is_file(),
                "{} has no scores.jsonl: name the output folder of a finished run, or a file",
                named.path.display()
            );
            path
        } else {
            named.path.clone()
        };
        let found = match listed(&path, pool)? {
            Some(found) => found,
            None => of_data(&path, flags, pool)?,
        };
        ensure!(!found.is_empty(), "{} chooses no row", path.display());
        let mut positions = Vec::with_capacity(found.len());
        let mut seen = HashMap::new();
        for (place, position) in found {
            if let Some(before) = seen.insert(position, place.clone()) {
                let id = &pool.rows()[position].id;
                bail!("{}, {place}: row {id} was named before, in {before}", path.display());
            }
            positions.push(position);
        }
        positions.sort_unstable();
        Ok(Self { name: named.name.clone(), path, positions })
    }
}

/// Rows that are named by id or index, with where; `None` if the file holds something else.
fn listed(path: &Path, pool: &Pool) -> Result<Option<Vec<(String, usize)>>> {
    if path.extension().is_none_or(|extension| extension != "jsonl") {
        return Ok(None);
    }
    let at = || format!("reading {}", path.display());
    let mut found = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(File::open(path).with_context(at)?).lines()) {
        let line = line.with_context(at)?;
        if line.trim().is_empty() {
            continue;
        }
        let row: Value = serde_json::from_str(&line)
            .with_context(|| format!("{}, line {number}: no JSON object", path.display()))?;
        // Rows of data may have ids of their own, which go by the rules of the data.
        let verdict = match row.get("selected") {
            None => None,
            Some(Value::Bool(verdict)) => Some(*verdict),
            Some(other) => bail!(
                "{}, line {number}: `selected` is {other}, expected true or false",
                path.display()
            ),
        };
        if verdict.is_none() && (pool.has_texts() || !(has(&row, "id") || has(&row, "index"))) {
            ensure!(
                pool.has_texts(),
                "{}, line {number}: a row with neither `id` nor `index`; name the pool with --data \
                 to find rows by their content",
                path.display()
            );
            return Ok(None);
        }
        if verdict == Some(false) {
            continue;
        }
        let id = match &row["id"] {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        };
        let index = row["index"].as_u64().map(|index| index as usize);
        let position = match (&id, index) {
            (Some(id), _) => pool.of_id(id),
            (None, Some(index)) => pool.of_index(index),
            (None, None) => None,
        };
        let name = id.or_else(|| index.map(|index| index.to_string())).unwrap_or_default();
        match position {
            Some(position) => found.push((format!("line {number}"), position)),
            None => bail!("{}, line {number}: the pool has no row {name}", path.display()),
        }
    }
    Ok(Some(found))
}

fn has(row: &Value, key: &str) -> bool {
    row.get(key).is_some_and(|value| !value.is_null())
}

/// Rows of a data file, which must be rows of the pool.
fn of_data(path: &Path, flags: &Flags, pool: &Pool) -> Result<Vec<(String, usize)>> {
    ensure!(
        pool.has_texts(),
        "{} is a file of rows, which are found in the pool by their content: name the pool with \
         --data",
        path.display()
    );
    let data = open_rows(path, flags.format, false, false)?;
    let mut found = Vec::with_capacity(data.len());
    for first in (0..data.len()).step_by(CHUNK) {
        for sample in data.read_range(first..(first + CHUNK).min(data.len()))? {
            let Some(position) = pool.of_id(sample.id.as_str()) else {
                bail!("{}, row {}: the pool has no row {}", path.display(), sample.index, sample.id)
            };
            found.push((format!("row {}", sample.index), position));
        }
    }
    Ok(found)
}
