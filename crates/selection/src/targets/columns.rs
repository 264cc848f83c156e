//! Scores against targets as a scorer of a pipeline.

use std::collections::HashMap;

use crate::scorer::{BoxError, RowScores, Score, Scorer};
use tamis_artifact::Fingerprint;
use tamis_dataset::{Reason, Sample};

use super::{Target, TargetScores};

/// A [`Scorer`] of what was found against targets, by BM25, cosines or gradients: a column `TASK/NAME` for each target,
/// joined to rows by id.
///
/// Such scores depend on all candidates (BM25 counts in how many a word occurs), so they are computed before; the numbers
/// themselves are what its stages name.
#[derive(Clone, Debug)]
pub struct TargetColumns {
    columns: Vec<String>,
    rows: HashMap<String, RowScores>,
    fingerprint: Fingerprint,
}

impl TargetColumns {
    /// These scores.
    pub fn new(scores: &TargetScores) -> Self {
        let column = |Target { task, name }: &Target| format!("{task}/{name}");
        let columns: Vec<String> = scores.targets().iter().map(column).collect();
        let mut rows = HashMap::with_capacity(scores.candidates().len());
        let mut bytes = Vec::new();
        let mut add = |id: &str, row: RowScores| {
            bytes.extend((id.len() as u64).to_le_bytes());
            bytes.extend(id.as_bytes());
            for score in &row {
                match score {
                    Score::Value(value) => bytes.extend(value.to_bits().to_le_bytes()),
                    Score::Missing(reason) => bytes.extend(reason.to_string().as_bytes()),
                }
            }
            rows.insert(id.to_owned(), row);
        };
        for candidate in scores.candidates() {
            let row = candidate.scores.iter().map(|&score| Score::Value(f64::from(score)));
            add(candidate.id.as_str(), row.collect());
        }
        for other in scores.unscored() {
            let score = Score::Missing(Reason::Other(other.reason.clone()));
            add(other.id.as_str(), vec![score; columns.len()]);
        }
        Self { columns, rows, fingerprint: Fingerprint::hash(&bytes) }
    }
}

impl Scorer for TargetColumns {
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn fingerprint(&self) -> Result<Fingerprint, BoxError> {
        Ok(self.fingerprint.clone())
    }

    fn score(&self, rows: &[Sample]) -> Result<Vec<RowScores>, BoxError> {
        let row = |sample: &Sample| {
            let none = || format!("row `{}` is none of those that were scored", sample.id);
            self.rows.get(sample.id.as_str()).cloned().ok_or_else(|| none().into())
        };
        rows.iter().map(row).collect()
    }
}
