//! The even draw over clusters as a selector.

use std::collections::BTreeMap;

use tamis_selection::why::Why;
use tamis_selection::{Candidates, Score, Selection, SelectionError, Selector};

use crate::{ClusteringError, Resample, Within};

/// Draws evenly over the groups of the candidates, such as their clusters; at most as many as its own budget says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvenDraw {
    /// How it is drawn.
    pub resample: Resample,
    /// The column of scores that [`Within::BestScore`] goes by, or of distances, for [`Within::Nearest`].
    pub column: Option<String>,
}

impl Selector for EvenDraw {
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError> {
        let mut numbers: BTreeMap<Option<&str>, usize> = BTreeMap::new();
        for position in 0..candidates.len() {
            numbers.entry(candidates.group(position)).or_default();
        }
        numbers.values_mut().zip(0..).for_each(|(number, n)| *number = n);
        let label = |position| numbers.get(&candidates.group(position)).copied().unwrap_or(0);
        let labels: Vec<usize> = (0..candidates.len()).map(label).collect();
        // One without a score stays NaN, which the draw refuses by its row.
        let values = match (&self.column, self.resample.within) {
            (None, _) | (_, Within::Random) => None,
            (Some(column), _) => {
                let scores = candidates.need_scores()?.column(column)?;
                let value = |score: &Score| score.value().unwrap_or(f64::NAN);
                Some(scores.into_iter().map(value).collect::<Vec<f64>>())
            }
        };
        let distances: Option<Vec<f32>> =
            values.as_ref().map(|values| values.iter().map(|&value| value as f32).collect());
        let budget = budget.min(self.resample.budget).min(candidates.len());
        let drawn = Resample { budget, ..self.resample }
            .draw(&labels, values.as_deref(), distances.as_deref())
            .map_err(|error: ClusteringError| SelectionError::Selector(error.into()))?;
        let mut whys = vec![Why::words("not drawn from its cluster"); candidates.len()];
        let chosen = Why::words(format!("drawn evenly over {} clusters", numbers.len()));
        for &position in &drawn {
            whys[position] = chosen.clone();
        }
        Selection::new(drawn, whys)
    }
}
