//! Scores of segments that another program computed.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::MetricsError;
use crate::segments::read_lines;

/// Scores of segments from a file: those of neural metrics (COMET, BLEURT), which need a large model, or
/// of people.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentScores {
    path: PathBuf,
    ids: Option<Vec<String>>,
    scores: Vec<f64>,
}

/// One line.
struct Line {
    id: Option<String>,
    score: f64,
}

impl SegmentScores {
    /// Reads one score a line: a number, or a JSON object with the number `score` and, if segments
    /// are to be matched by name, the string or integer `id`. Other fields are not looked at.
    ///
    /// # Errors
    /// A file that cannot be read or is empty; a line that holds neither, a score that is not finite, an
    /// id that is there twice, or ids in some lines but not in others, each with its line.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, MetricsError> {
        let path = path.as_ref();
        let fault =
            |line, reason| MetricsError::Line { path: path.to_owned(), line: line + 1, reason };
        let lines = read_lines(path, "one score a line")?;
        let mut scores = Vec::with_capacity(lines.len());
        let mut seen = HashMap::new();
        for (n, text) in lines.iter().enumerate() {
            let line = parse(text).map_err(|reason| fault(n, reason))?;
            if n > 0 && line.id.is_some() == seen.is_empty() {
                let (this, others) =
                    if seen.is_empty() { ("an", "have none") } else { ("no", "have one") };
                return Err(fault(n, format!("has {this} id, but the lines before {others}")));
            }
            if let Some(id) = line.id
                && let Some(first) = seen.insert(id.clone(), n)
            {
                return Err(fault(n, format!("the id `{id}` is in line {} already", first + 1)));
            }
            scores.push(line.score);
        }
        let ids = (!seen.is_empty()).then(|| {
            let mut ids: Vec<(String, usize)> = seen.into_iter().collect();
            ids.sort_unstable_by_key(|id| id.1);
            ids.into_iter().map(|id| id.0).collect()
        });
        Ok(Self { path: path.to_owned(), ids, scores })
    }

    /// The scores in the order of the file.
    pub fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// The segments that they belong to, if the file names them.
    pub fn ids(&self) -> Option<&[String]> {
        self.ids.as_deref()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses scores of another number than there are segments. `segments` says of what, for example
    /// `lines of hyp.txt`.
    ///
    /// # Errors
    /// [`MetricsError::Length`]
    pub fn expect_count(&self, count: usize, segments: &str) -> Result<(), MetricsError> {
        if self.scores.len() == count {
            return Ok(());
        }
        Err(MetricsError::Length {
            what: format!("scores in {}", self.path.display()),
            found: self.scores.len(),
            other: segments.to_owned(),
            expected: count,
        })
    }

    /// The scores in the order of these ids. A file without ids is in that order already.
    ///
    /// # Errors
    /// [`MetricsError::Length`] if there are more or fewer scores than ids, or
    /// [`MetricsError::Line`] for the first score that belongs to none.
    pub fn in_order<S: AsRef<str>>(&self, ids: &[S]) -> Result<Vec<f64>, MetricsError> {
        self.expect_count(ids.len(), "segments")?;
        let Some(own) = &self.ids else { return Ok(self.scores.clone()) };
        let places: HashMap<&str, usize> = (0..).zip(ids).map(|(n, id)| (id.as_ref(), n)).collect();
        let mut ordered = vec![0.0; ids.len()];
        for (n, (id, &score)) in own.iter().zip(&self.scores).enumerate() {
            // The ids of the file differ and there are as many, so that every place is filled if all
            // of them have one.
            let &place = places.get(id.as_str()).ok_or_else(|| MetricsError::Line {
                path: self.path.clone(),
                line: n + 1,
                reason: format!("`{id}` is the id of none of the segments"),
            })?;
            ordered[place] = score;
        }
        Ok(ordered)
    }

    /// The scores of two files segment by segment: by id where both have ids, else line by line.
    ///
    /// # Errors
    /// [`MetricsError::Length`], or [`MetricsError::MissingId`] for a segment that only one of them
    /// has.
    pub fn paired(&self, other: &Self) -> Result<(Vec<f64>, Vec<f64>), MetricsError> {
        other.expect_count(self.scores.len(), &format!("scores in {}", self.path.display()))?;
        let (Some(own), Some(_)) = (&self.ids, &other.ids) else {
            return Ok((self.scores.clone(), other.scores.clone()));
        };
        let known: HashSet<&String> = own.iter().collect();
        if let Some(id) = other.ids.iter().flatten().find(|id| !known.contains(id)) {
            return Err(MetricsError::MissingId {
                id: id.clone(),
                present: other.path.clone(),
                absent: self.path.clone(),
            });
        }
        Ok((self.scores.clone(), other.in_order(own)?))
    }
}

/// Reads a line, or says what is wrong with it.
fn parse(text: &str) -> Result<Line, String> {
    let text = text.trim();
    let line = if text.starts_with('{') {
        let row: Value =
            serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let score = match row.get("score") {
            None => return Err("the object has no `score`".to_owned()),
            Some(score) => score
                .as_f64()
                .ok_or_else(|| format!("`score` is {score}, expected a finite number"))?,
        };
        let id = match row.get("id") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(Value::Number(id)) => Some(id.to_string()),
            Some(id) => return Err(format!("`id` is {id}, expected a string or a number")),
        };
        Line { id, score }
    } else {
        let score =
            text.parse().map_err(|_| format!("`{text}` is not a number, expected one score"))?;
        Line { id: None, score }
    };
    if line.score.is_finite() {
        Ok(line)
    } else {
        Err(format!("the score is {}, expected a finite number", line.score))
    }
}
