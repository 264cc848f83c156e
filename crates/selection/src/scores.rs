//! What a stage found.

use serde::{Deserialize, Serialize};
use tamis_dataset::{Decision, SampleId, Selection};

use crate::{Filter, RowScores, Score, SelectionError};

/// A row with its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoredRow {
    /// Id of the row.
    pub id: SampleId,
    /// Its own 0-based row, in the file or list it came from: for people. What joins is its place among the scores.
    pub index: usize,
    /// One for each column: finite, or why there is none.
    pub scores: RowScores,
}

/// Scores of all rows of a source, in named columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// One for each row of the source, in its order.
    pub rows: Vec<ScoredRow>,
    /// How many of them an earlier run had scored.
    pub resumed: usize,
}

impl Scores {
    /// The scores in the column of this name, one for each row.
    ///
    /// # Errors
    /// [`SelectionError::Column`] if there is none.
    pub fn column(&self, name: &str) -> Result<Vec<&Score>, SelectionError> {
        let Some(at) = self.columns.iter().position(|column| column == name) else {
            let (column, known) = (name.to_owned(), self.columns.join(", "));
            return Err(SelectionError::Column { column, known });
        };
        let scores: Vec<&Score> = self.rows.iter().filter_map(|row| row.scores.get(at)).collect();
        if scores.len() != self.rows.len() {
            let (found, expected) = (scores.len(), self.rows.len());
            return Err(SelectionError::Count { scorer: name.to_owned(), found, expected });
        }
        Ok(scores)
    }

    /// Decides about every row by one column: one that passes all filters, one after the other, is selected. Shares and
    /// counts of a filter are of what the filters before it left.
    ///
    /// # Errors
    /// [`SelectionError::Column`] if there is no such column, [`SelectionError::Parameter`] for a share outside of 0 to 1, or
    /// a bound that is no number.
    pub fn keep(&self, column: &str, filters: &[Filter]) -> Result<Selection, SelectionError> {
        let scores = self.column(column)?;
        let decision = |(row, score): (&ScoredRow, &&Score)| Decision {
            id: row.id.clone(),
            index: row.index,
            selected: score.value().is_some(),
            reason: match score {
                Score::Value(value) => format!("{column} is {value}"),
                Score::Missing(why) => format!("no {column}: {why}"),
            },
        };
        let mut decisions: Vec<Decision> = self.rows.iter().zip(&scores).map(decision).collect();
        let mut left: Vec<(usize, f64)> = scores
            .iter()
            .enumerate()
            .filter_map(|(place, score)| Some((place, score.value()?)))
            .collect();
        for filter in filters {
            for (place, value, reason) in filter.apply(&mut left)? {
                decisions[place].selected = false;
                decisions[place].reason = format!("{column} is {value}, {reason}");
            }
        }
        Ok(Selection { decisions })
    }
}
