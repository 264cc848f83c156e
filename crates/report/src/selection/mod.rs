//! The report that every selecting program writes.

mod run_section;
mod sections;

pub use run_section::run_section;

use crate::{Report, ReportError, RunRecord, Tile};

/// What a selecting program knows at its end; [`build`](Self::build) makes the common sections of
/// its report.
///
/// Candidates are counted from 0 in pool order; `selected`, `reasons`, the values of scores and of
/// lengths have one entry for each of them.
#[derive(Debug, Clone, Default)]
pub struct SelectionReport {
    /// Title of the page.
    pub title: String,
    /// A sentence or two on what was selected from what.
    pub lead: String,
    /// Key figures beyond the number of candidates and of selected ones.
    pub tiles: Vec<Tile>,
    /// Whether each candidate was selected.
    pub selected: Vec<bool>,
    /// Why each candidate was or was not selected; empty if there are no reasons.
    pub reasons: Vec<String>,
    /// Scores, the one that decided first.
    pub scores: Vec<ScoreColumn>,
    /// Lengths of the candidates.
    pub lengths: Option<Lengths>,
    /// Candidates in the plane, with clusters.
    pub map: Option<Map>,
    /// Samples to look at.
    pub examples: Vec<Examples>,
}

/// A named score of all candidates.
#[derive(Debug, Clone)]
pub struct ScoreColumn {
    /// Name, as in `scores.jsonl`.
    pub name: String,
    /// What it means and which direction is good; stands under its plot.
    pub meaning: String,
    /// Values; `None` for a candidate without this score.
    pub values: Vec<Option<f64>>,
}

/// How long the candidates are.
#[derive(Debug, Clone)]
pub struct Lengths {
    /// What is counted, such as "target tokens".
    pub unit: String,
    /// Lengths.
    pub values: Vec<usize>,
}

/// Candidates in two dimensions.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// Which candidates, where clusters were made of some of them only.
    pub rows: Vec<usize>,
    /// Coordinates, one pair for each of `rows`.
    pub points: Vec<[f64; 2]>,
    /// Clusters, one for each of `rows`.
    pub clusters: Vec<usize>,
    /// Share of the variance along each axis, if the axes are principal ones.
    pub explained: Option<[f64; 2]>,
    /// What the points are, such as "gradients, normalised".
    pub caption: String,
}

/// A group of samples to look at.
#[derive(Debug, Clone)]
pub struct Examples {
    /// What they have in common, such as "highest mean influence".
    pub title: String,
    /// The samples.
    pub rows: Vec<Example>,
}

/// A sample to look at; its scores, length and decision are filled in by the report.
#[derive(Debug, Clone)]
pub struct Example {
    /// Which candidate.
    pub row: usize,
    /// Its id.
    pub id: String,
    /// Its text, clipped by the report.
    pub text: String,
}

impl SelectionReport {
    /// Makes the report. The sections are, as far as there is something to show: "Key figures",
    /// "Scores", "Clusters", "Lengths", "Examples", "Decisions", "Run"; a program adds its own with
    /// [`Report::section`] and puts them in place with [`Report::move_section`].
    ///
    /// # Errors
    /// [`ReportError::Mismatch`] if parts have different lengths or name candidates that do not
    /// exist.
    pub fn build(&self, run: &RunRecord) -> Result<Report, ReportError> {
        self.check()?;
        let mut report = Report::new(&self.title);
        report.lead(&self.lead);
        self.key_figures(&mut report, run);
        self.score_section(&mut report);
        self.cluster_section(&mut report);
        self.length_section(&mut report);
        self.example_section(&mut report);
        self.decision_section(&mut report);
        run_section::run_section(&mut report, run);
        let finished = if run.finished.is_empty() {
            String::new()
        } else {
            format!(", finished {}", run.finished)
        };
        report.footer(format!("{} {}{finished}", run.program, run.version));
        Ok(report)
    }

    fn check(&self) -> Result<(), ReportError> {
        let candidates = self.selected.len();
        let same = |what: String, found: usize, expected: usize| {
            if found == expected {
                Ok(())
            } else {
                Err(ReportError::Mismatch {
                    what,
                    found: found.to_string(),
                    expected: expected.to_string(),
                })
            }
        };
        if !self.reasons.is_empty() {
            same("number of reasons".into(), self.reasons.len(), candidates)?;
        }
        for score in &self.scores {
            let what = format!("number of values of score `{}`", score.name);
            same(what, score.values.len(), candidates)?;
        }
        if let Some(lengths) = &self.lengths {
            same("number of lengths".into(), lengths.values.len(), candidates)?;
        }
        let mut named: Vec<usize> = Vec::new();
        if let Some(map) = &self.map {
            let rows = map.rows.len();
            same("number of points in the plane".into(), map.points.len(), rows)?;
            same("number of cluster labels".into(), map.clusters.len(), rows)?;
            named.extend(&map.rows);
        }
        named.extend(self.examples.iter().flat_map(|g| g.rows.iter().map(|e| e.row)));
        match named.into_iter().find(|row| *row >= candidates) {
            None => Ok(()),
            Some(row) => Err(ReportError::Mismatch {
                what: "a candidate in the plane or among the examples".to_owned(),
                found: format!("row {row}"),
                expected: format!("a row below {candidates}"),
            }),
        }
    }
}

/// The rows of the `count` highest and of the `count` lowest values, the most extreme first, equal
/// values in row order. Rows without a value or with one that is not finite are left out, and none
/// is in both lists: if there are fewer than twice `count`, the best come first.
///
/// ```
/// let values = [Some(0.5), None, Some(2.0), Some(-1.0)];
/// assert_eq!(tamis_report::best_and_worst(&values, 2), (vec![2, 0], vec![3]));
/// ```
pub fn best_and_worst(values: &[Option<f64>], count: usize) -> (Vec<usize>, Vec<usize>) {
    let mut rows: Vec<(usize, f64)> = values
        .iter()
        .enumerate()
        .filter_map(|(row, value)| value.filter(|v| v.is_finite()).map(|v| (row, v)))
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let split = count.min(rows.len());
    let mut rest = rows.split_off(split);
    rest.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
    rest.truncate(count);
    let places = |rows: Vec<(usize, f64)>| rows.into_iter().map(|(row, _)| row).collect();
    (places(rows), places(rest))
}
