//! Scorers that need no model.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tamis_artifact::{Fingerprint, Random};
use tamis_dataset::{Reason, Sample};

use crate::{BoxError, RowScores, Score, Scorer, SelectionError};

/// What a length is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// What white space separates.
    Words,
    /// Unicode scalar values.
    Characters,
}

/// How long the answer is: a column `words` or `characters`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length(pub Unit);

impl Scorer for Length {
    fn columns(&self) -> Vec<String> {
        let name = match self.0 {
            Unit::Words => "words",
            Unit::Characters => "characters",
        };
        vec![name.to_owned()]
    }

    fn fingerprint(&self) -> Result<Fingerprint, BoxError> {
        Ok(Fingerprint::from(json!({ "length": self.0 })))
    }

    fn score(&self, rows: &[Sample]) -> Result<Vec<RowScores>, BoxError> {
        let length = |sample: &Sample| {
            let answer = sample.content.answer();
            let count = match self.0 {
                Unit::Words => answer.split_whitespace().count(),
                Unit::Characters => answer.chars().count(),
            };
            vec![Score::Value(count as f64)]
        };
        Ok(rows.iter().map(length).collect())
    }
}

/// A number from 0 to 1 by chance, in a column `chance`: it depends on the seed and the row's id alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    /// Another seed, other numbers.
    pub seed: u64,
}

impl Scorer for Chance {
    fn columns(&self) -> Vec<String> {
        vec!["chance".to_owned()]
    }

    fn fingerprint(&self) -> Result<Fingerprint, BoxError> {
        Ok(Fingerprint::from(json!({ "seed": self.seed })))
    }

    fn score(&self, rows: &[Sample]) -> Result<Vec<RowScores>, BoxError> {
        let number = |sample: &Sample| {
            let mut random = Random::keyed(self.seed, "scores by chance", sample.id.as_str());
            vec![Score::Value(random.fraction())]
        };
        Ok(rows.iter().map(number).collect())
    }
}

/// Numbers that were made elsewhere, by the ids of the rows.
#[derive(Clone, Debug)]
pub struct Numbers {
    columns: Vec<String>,
    rows: HashMap<String, RowScores>,
    hash: Fingerprint,
}

impl Numbers {
    /// Reads a file of numbers: of each of its rows the `id` and the columns named. A file whose name ends in `.csv` has
    /// the names in its first line and no quotes; any other is JSONL. A number that is absent, null, empty or not finite
    /// is a missing score.
    ///
    /// # Errors
    /// A file that cannot be read, a line that is not as expected, an id that comes twice.
    pub fn open(path: impl AsRef<Path>, columns: &[&str]) -> Result<Self, SelectionError> {
        let path = path.as_ref();
        let text = fs::read_to_string(path)
            .map_err(|source| SelectionError::Read { file: path.display().to_string(), source })?;
        let file = File { path: path.to_owned() };
        let csv = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        let lines = if csv { file.csv(&text, columns)? } else { file.jsonl(&text)? };
        let mut rows = HashMap::with_capacity(lines.len());
        for (line, row) in lines {
            let id = match row.get("id") {
                Some(Value::String(id)) => id.clone(),
                Some(Value::Number(id)) => id.to_string(),
                _ => return Err(file.wrong(line, "it has no `id`")),
            };
            let scores = columns.iter().map(|&column| match row.get(column) {
                None | Some(Value::Null) => Ok(missing(format!("the file has no {column} for it"))),
                Some(Value::Number(number)) => Ok(match number.as_f64() {
                    Some(value) if value.is_finite() => Score::Value(value),
                    _ => Score::Missing(Reason::NonFinite),
                }),
                Some(other) => {
                    Err(file.wrong(line, &format!("its `{column}` is {other}, no number")))
                }
            });
            let scores = scores.collect::<Result<RowScores, _>>()?;
            if rows.insert(id.clone(), scores).is_some() {
                return Err(file.wrong(line, &format!("the id `{id}` came before")));
            }
        }
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Ok(Self { columns, rows, hash: Fingerprint::hash(&text) })
    }
}

impl Scorer for Numbers {
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn fingerprint(&self) -> Result<Fingerprint, BoxError> {
        Ok(Fingerprint::from(json!({ "file": self.hash })))
    }

    fn score(&self, rows: &[Sample]) -> Result<Vec<RowScores>, BoxError> {
        let none = || {
            let score = missing("the file has no line of its id".to_owned());
            vec![score; self.columns.len()]
        };
        let of = |sample: &Sample| self.rows.get(sample.id.as_str()).cloned().unwrap_or_else(none);
        Ok(rows.iter().map(of).collect())
    }
}

fn missing(words: String) -> Score {
    Score::Missing(Reason::Other(words))
}

/// Lines with their numbers, from 1.
type Lines = Vec<(usize, Map<String, Value>)>;

struct File {
    path: PathBuf,
}

impl File {
    fn wrong(&self, line: usize, reason: &str) -> SelectionError {
        let (file, reason) = (self.path.display().to_string(), reason.to_owned());
        SelectionError::Numbers { file, line, reason }
    }

    fn jsonl(&self, text: &str) -> Result<Lines, SelectionError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(at, line)| match serde_json::from_str(line) {
                Ok(row) => Ok((at + 1, row)),
                Err(error) => Err(self.wrong(at + 1, &error.to_string())),
            })
            .collect()
    }

    fn csv(&self, text: &str, wanted: &[&str]) -> Result<Lines, SelectionError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let Some((_, head)) = lines.next() else {
            return Err(self.wrong(1, "it is empty"));
        };
        let names: Vec<&str> = head.split(',').map(str::trim).collect();
        if let Some(absent) = std::iter::once(&"id").chain(wanted).find(|w| !names.contains(w)) {
            return Err(self.wrong(1, &format!("there is no column `{absent}`")));
        }
        let mut rows = Vec::new();
        for (at, line) in lines {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            if cells.len() != names.len() || line.contains('"') {
                let expected = format!("expected {} cells without quotes", names.len());
                return Err(self.wrong(at + 1, &expected));
            }
            let mut row = Map::new();
            for (&name, &cell) in names.iter().zip(&cells) {
                let value = match cell.parse::<f64>() {
                    _ if name == "id" => json!(cell),
                    // One that is not finite is null.
                    Ok(number) => json!(number),
                    Err(_) if cell.is_empty() => Value::Null,
                    Err(_) => json!(cell),
                };
                row.insert(name.to_owned(), value);
            }
            rows.push((at + 1, row));
        }
        Ok(rows)
    }
}
