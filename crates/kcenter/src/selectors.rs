//! The algorithms as selectors over the vectors of candidates.

use tamis_selection::why::Why;
use tamis_selection::{Candidates, Score, Selection, SelectionError, Selector};

use crate::facility::{FacilityLocation, Qdit};
use crate::kcenter::KCenter;
use crate::{FacilityParams, KCenterError, KCenterParams, QditParams};

/// Picks by the vectors of the candidates, at most as many as its own budget says.
impl Selector for KCenter {
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError> {
        let rows = candidates.need_vectors()?;
        chosen(candidates, budget.min(self.params().budget), "k-center", |budget| {
            let params = KCenterParams { budget, ..*self.params() };
            Ok(params.check()?.pick(rows, &[])?.indices())
        })
    }
}

/// Picks by the vectors of the candidates, at most as many as its own budget says.
impl Selector for FacilityLocation {
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError> {
        let rows = candidates.need_vectors()?;
        chosen(candidates, budget.min(self.params().budget), "facility location", |budget| {
            let params = FacilityParams { budget, ..*self.params() };
            Ok(params.check()?.pick(rows, &[])?.indices())
        })
    }
}

/// QDIT with the quality of the rows in a column of their scores.
#[derive(Clone, Debug)]
pub struct QditBy {
    /// QDIT, which picks at most as many as its own budget says.
    pub qdit: Qdit,
    /// The column; every row has a score in it.
    pub quality: String,
}

impl Selector for QditBy {
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError> {
        let rows = candidates.need_vectors()?;
        // One without a score stays NaN, which QDIT refuses by its row.
        let quality = candidates.need_scores()?.column(&self.quality)?;
        let quality: Vec<f64> =
            quality.into_iter().map(Score::value).map(|q| q.unwrap_or(f64::NAN)).collect();
        chosen(candidates, budget.min(self.qdit.params().budget), "QDIT", |budget| {
            let params = QditParams { budget, ..*self.qdit.params() };
            Ok(params.check()?.pick(rows, &quality, &[])?.indices())
        })
    }
}

/// The rows that `pick` picks, in their order; none for a budget of none.
fn chosen(
    candidates: &Candidates<'_>,
    budget: usize,
    by: &str,
    pick: impl FnOnce(usize) -> Result<Vec<usize>, KCenterError>,
) -> Result<Selection, SelectionError> {
    let budget = budget.min(candidates.len());
    let order = if budget == 0 { Vec::new() } else { pick(budget).map_err(failed)? };
    let mut whys = vec![Why::words(format!("not among the {budget} of {by}")); candidates.len()];
    let by: std::sync::Arc<str> = by.into();
    for (place, &position) in order.iter().enumerate() {
        whys[position] = Why::Rank { rank: place + 1, by: by.clone() };
    }
    Selection::new(order, whys)
}

fn failed(error: KCenterError) -> SelectionError {
    SelectionError::Selector(error.into())
}
