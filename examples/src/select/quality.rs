//! Qualities of rows, from a file.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Candidates;

/// The field of a `.jsonl` file where none is named.
const FIELD: &str = "quality";

/// The quality of every candidate, as far as the file has one.
///
/// A `.jsonl` file has an object a line, with `id` and `field`, and is joined by id. Any other file
/// has one number a line, for every candidate in order.
///
/// # Errors
/// Lines that hold no number, another number of lines than of candidates, an id that is missing,
/// not known or there twice; each with its line or id.
pub fn read_quality(
    path: &Path,
    field: Option<&str>,
    candidates: &Candidates,
) -> Result<Vec<Option<f64>>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("jsonl"));
    ensure!(
        json || field.is_none(),
        "--quality-field names a field, but {} is no .jsonl file",
        path.display()
    );
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let lines: Vec<(usize, &str)> = lines.filter(|(_, line)| !line.is_empty()).collect();
    let (found, expected) = (lines.len(), candidates.all().len());
    ensure!(
        found == expected,
        "{} has {found} qualities, but there are {expected} rows: give one for each, those without \
         an embedding included",
        path.display()
    );
    if json {
        by_id(path, field.unwrap_or(FIELD), &lines, candidates)
    } else {
        in_order(path, &lines)
    }
}

/// The quality of every row of the embeddings, from that of every candidate, read from
/// `path`.
///
/// # Errors
/// A row with an embedding but without a finite quality, by its id.
pub fn quality_of_rows(
    path: &Path,
    quality: &[Option<f64>],
    candidates: &Candidates,
) -> Result<Vec<f64>> {
    let mut of_rows = vec![0.0; candidates.embedded()];
    for (candidate, value) in candidates.all().iter().zip(quality) {
        let Ok(row) = candidate.row else { continue };
        of_rows[row] = value.filter(|value| value.is_finite()).with_context(|| {
            format!(
                "{}: row {} (`{}`) has no finite quality, so it cannot be weighed: give it one, or \
                 leave it out of data and embeddings",
                path.display(),
                candidate.index,
                candidate.id
            )
        })?;
    }
    Ok(of_rows)
}

fn in_order(path: &Path, lines: &[(usize, &str)]) -> Result<Vec<Option<f64>>> {
    let parse = |&(number, line): &(usize, &str)| {
        let value = line.parse::<f64>().with_context(|| {
            format!("{}: line {number} is `{line}`, expected a number", path.display())
        });
        value.map(Some)
    };
    lines.iter().map(parse).collect()
}

fn by_id(
    path: &Path,
    field: &str,
    lines: &[(usize, &str)],
    candidates: &Candidates,
) -> Result<Vec<Option<f64>>> {
    let mut of: HashMap<String, Option<f64>> = HashMap::with_capacity(lines.len());
    for (number, line) in lines {
        let place = || format!("{}: line {number}", path.display());
        let row: Value = serde_json::from_str(line).with_context(place)?;
        let id = match row.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => bail!("{} has no `id`", place()),
        };
        let value = match row.get(field) {
            Some(Value::Number(value)) => value.as_f64(),
            Some(Value::Null) => None,
            Some(other) => bail!("{}: `{field}` is {other}, expected a number", place()),
            None => {
                bail!("{} has no field `{field}`; name the field with --quality-field", place())
            }
        };
        ensure!(of.insert(id.clone(), value).is_none(), "{} has the id `{id}` again", place());
    }
    let all = candidates.all().iter().map(|candidate| {
        let value = of.get(&candidate.id).copied();
        value.with_context(|| {
            format!(
                "{} has no quality of row {} (`{}`)",
                path.display(),
                candidate.index,
                candidate.id
            )
        })
    });
    all.collect()
}
