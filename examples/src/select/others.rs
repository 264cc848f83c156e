//! Selections that were made elsewhere, to be measured like this one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Candidates;

/// Another selection of the same rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Other {
    /// What tables call it: the folder of a `scores.jsonl` or `selected.jsonl`, else the file.
    pub name: String,
    /// Positions of the chosen ones among the candidates, in the order of the file.
    pub chosen: Vec<usize>,
}

impl Other {
    /// Reads which rows a file says were chosen: the `scores.jsonl` of any program, or any other
    /// file of an object a line, with the `id` of a row or, without, its `index`. Lines whose
    /// `selected` is false were not chosen.
    ///
    /// # Errors
    /// The line that is no such object, that names a row which is not there, or again one that was
    /// named before; a file that chooses nothing.
    pub fn read(path: &Path, candidates: &Candidates) -> Result<Self> {
        let by_id: HashMap<&str, usize> =
            candidates.all().iter().enumerate().map(|(n, row)| (row.id.as_str(), n)).collect();
        let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
        let (mut line_of, mut chosen) = (HashMap::new(), Vec::new());
        for (number, line) in (1..).zip(BufReader::new(file).lines()) {
            let place = || format!("{}: line {number}", path.display());
            let line = line.with_context(place)?;
            if line.trim().is_empty() {
                continue;
            }
            let row: Value = serde_json::from_str(&line).with_context(place)?;
            let found = match (row.get("id"), row.get("index").and_then(Value::as_u64)) {
                (Some(Value::String(id)), _) => by_id.get(id.as_str()).copied(),
                (Some(Value::Number(id)), _) => by_id.get(id.to_string().as_str()).copied(),
                (_, Some(index)) => candidates.at(index as usize),
                _ => bail!("{} has neither `id` nor `index`, expected one of them", place()),
            };
            let Some(position) = found else {
                bail!("{} names a row that is not among those to choose from: {line}", place());
            };
            if let Some(before) = line_of.insert(position, number) {
                bail!("{} names the same row as line {before}: {line}", place());
            }
            match row.get("selected") {
                None | Some(Value::Bool(true)) => chosen.push(position),
                Some(Value::Bool(false)) => {}
                Some(other) => bail!("{}: `selected` is {other}, expected true or false", place()),
            }
        }
        ensure!(!chosen.is_empty(), "{} chooses no row", path.display());
        Ok(Self { name: name_of(path), chosen })
    }
}

/// The folder of a result file, whose own name is always the same; else the whole path.
fn name_of(path: &Path) -> String {
    let ours =
        path.file_name().is_some_and(|name| name == "scores.jsonl" || name == "selected.jsonl");
    let folder = path.parent().and_then(Path::file_name).filter(|_| ours);
    folder.map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
