//! What a stage found.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tamis_dataset::SampleId;

use crate::error::SelectionError;
use crate::filter::Filter;
use crate::scorer::{RowScores, Score};
use crate::selection::Selection;
use crate::why::Why;

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
#[derive(Clone, Debug, Default, PartialEq)]
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
        let name: Arc<str> = column.into();
        let mut left = Vec::new();
        let mut whys = Vec::with_capacity(self.rows.len());
        for (place, score) in self.column(column)?.into_iter().enumerate() {
            let column = name.clone();
            whys.push(match score {
                &Score::Value(value) => {
                    left.push((place, value));
                    Why::Scored { column, value }
                }
                Score::Missing(reason) => Why::Unscored { column, reason: reason.clone() },
            });
        }
        for filter in filters {
            let (out, filter) = filter.apply(self.rows.len(), &mut left)?;
            for (place, value) in out {
                whys[place] = Why::Filtered { column: name.clone(), value, filter };
            }
        }
        Selection::new(left.into_iter().map(|(place, _)| place).collect(), whys)
    }
}
