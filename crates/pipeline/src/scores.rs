//! What a stage found.

use serde::{Deserialize, Serialize};
use tamis_dataset::{Decision, SampleId, Selection};

use crate::{PipelineError, Score, Sieve};

/// A row with its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scored {
    /// Id of the row.
    pub id: SampleId,
    /// Its 0-based row in the file.
    pub index: usize,
    /// Its score, always finite, or why it has none.
    pub score: Score,
}

/// Scores of all rows of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// Name of the scorer.
    pub name: String,
    /// One for each row, in their order.
    pub rows: Vec<Scored>,
    /// How many of them an earlier run had scored.
    pub resumed: usize,
}

impl Scores {
    /// Decides about every row: one that passes all sieves, one after the other, is selected. Shares and counts of a sieve
    /// are of what the sieves before it left.
    ///
    /// # Errors
    /// [`PipelineError::Parameter`] for a share outside of 0 to 1, or a bound that is no number.
    pub fn sift(&self, sieves: &[Sieve]) -> Result<Selection, PipelineError> {
        let mut decisions: Vec<Decision> = self
            .rows
            .iter()
            .map(|row| Decision {
                id: row.id.clone(),
                index: row.index,
                selected: row.score.value().is_some(),
                reason: match &row.score {
                    Score::Value(value) => format!("{} is {value}", self.name),
                    Score::Missing(why) => format!("no {}: {why}", self.name),
                },
            })
            .collect();
        let mut left: Vec<(usize, f64)> = self
            .rows
            .iter()
            .enumerate()
            .filter_map(|(place, row)| Some((place, row.score.value()?)))
            .collect();
        for sieve in sieves {
            for (place, value, reason) in sieve.apply(&mut left)? {
                decisions[place].selected = false;
                decisions[place].reason = format!("{} is {value}, {reason}", self.name);
            }
        }
        Ok(Selection { decisions })
    }
}
