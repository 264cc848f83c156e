//! Facility location and QDIT: what they are asked and what they answer.

use tamis_selection::Vectors;

use crate::lazy::{Lazy, Objective};
use crate::points::check_numbers;
use crate::{FacilityParams, KCenterError, QditParams, Similarity};

/// Facility location by lazy greedy, with checked settings; made by [`FacilityParams::check`].
///
/// d(A) = Σ over all rows v of the largest similarity of v to a row of A; 0 for an empty A. It is monotone
/// and submodular, so that the rows picked reach at least 1 − 1/e of the best d of as many rows
/// (Nemhauser, Wolsey, Fisher, 1978).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FacilityLocation {
    params: FacilityParams,
}

/// QDIT, quality and diversity (arXiv 2311.14736), with checked settings; made by
/// [`QditParams::check`].
///
/// Picks again and again the row a with the largest (1 − α) · [d(A ∪ a) − d(A)] / g + α · q(a), d as for
/// [`FacilityLocation`]. The paper leaves the scale between both terms open. Here both lie in [0, 1] over the
/// pool: g is the largest gain of any row at the start (gains never rise), and q the quality less the
/// least, divided by the range over the pool (0 everywhere if all are equal).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Qdit {
    params: QditParams,
}

/// A row that was picked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FacilityPick {
    /// Its number, from 0.
    pub index: usize,
    /// By how much it raised d.
    pub gain: f64,
    /// What was largest for this row: for facility location the gain, for QDIT the weighted sum.
    pub score: f64,
}

/// What facility location or QDIT picked.
#[derive(Clone, Debug, PartialEq)]
pub struct FacilityPicks {
    /// The rows, in the order in which they were picked.
    pub picks: Vec<FacilityPick>,
    /// Similarity of every row to the row chosen that is most like it, in the end; their sum is d.
    pub nearest: Vec<f64>,
}

impl FacilityPicks {
    /// The numbers of the rows, in the order in which they were picked.
    pub fn indices(&self) -> Vec<usize> {
        self.picks.iter().map(|pick| pick.index).collect()
    }

    /// d of all rows chosen, the initial ones with them.
    pub fn value(&self) -> f64 {
        self.nearest.iter().sum()
    }
}

impl FacilityLocation {
    /// Called by [`FacilityParams::check`] only.
    pub(crate) fn of(params: FacilityParams) -> Self {
        Self { params }
    }

    /// The settings.
    pub fn params(&self) -> &FacilityParams {
        &self.params
    }

    /// Picks again and again the row that raises d most, the first of equal ones. `initial` rows count as
    /// chosen from the start.
    ///
    /// Runs on the current rayon pool; its number of threads does not change the result. The time grows
    /// with the square of the number of rows, the memory with their number.
    ///
    /// # Errors
    /// A budget beyond the rows that are not chosen yet; initial rows that do not exist or are named
    /// twice; no rows or columns, and values that are not finite, by row.
    pub fn pick<V: Vectors + ?Sized>(
        &self,
        rows: &V,
        initial: &[usize],
    ) -> Result<FacilityPicks, KCenterError> {
        self.pick_with(rows, initial, |_| ())
    }

    /// As [`pick`](Self::pick), and calls `watch` at every pick, in order: for progress.
    ///
    /// # Errors
    /// As [`pick`](Self::pick).
    pub fn pick_with<V: Vectors + ?Sized>(
        &self,
        rows: &V,
        initial: &[usize],
        watch: impl FnMut(&FacilityPick),
    ) -> Result<FacilityPicks, KCenterError> {
        let FacilityParams { budget, similarity } = self.params;
        greedy(rows, initial, budget, similarity, Objective::Gain, watch)
    }
}

impl Qdit {
    /// Called by [`QditParams::check`] only.
    pub(crate) fn of(params: QditParams) -> Self {
        Self { params }
    }

    /// The settings.
    pub fn params(&self) -> &QditParams {
        &self.params
    }

    /// Picks rows, given the quality of every row (any finite numbers, higher is better), the first of
    /// equal ones. `initial` rows count as chosen from the start.
    ///
    /// # Errors
    /// As [`FacilityLocation::pick`], and qualities that are not finite or of another number than the rows.
    pub fn pick<V: Vectors + ?Sized>(
        &self,
        rows: &V,
        quality: &[f64],
        initial: &[usize],
    ) -> Result<FacilityPicks, KCenterError> {
        self.pick_with(rows, quality, initial, |_| ())
    }

    /// As [`pick`](Self::pick), and calls `watch` at every pick, in order: for progress.
    ///
    /// # Errors
    /// As [`pick`](Self::pick).
    pub fn pick_with<V: Vectors + ?Sized>(
        &self,
        rows: &V,
        quality: &[f64],
        initial: &[usize],
        watch: impl FnMut(&FacilityPick),
    ) -> Result<FacilityPicks, KCenterError> {
        let QditParams { budget, similarity, alpha } = self.params;
        if quality.len() != rows.len() {
            let (found, expected) = (quality.len(), rows.len());
            return Err(KCenterError::QualityLength { found, expected });
        }
        if let Some(row) = quality.iter().position(|value| !value.is_finite()) {
            return Err(KCenterError::Quality { row, value: quality[row] });
        }
        let objective = Objective::Weighted { alpha, quality: in_unit_range(quality) };
        greedy(rows, initial, budget, similarity, objective, watch)
    }
}

/// Values less the least, divided by their range.
fn in_unit_range(values: &[f64]) -> Vec<f64> {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Halved, so that no range overflows.
    let range = most / 2.0 - least / 2.0;
    let place = |&value: &f64| if range > 0.0 { (value / 2.0 - least / 2.0) / range } else { 0.0 };
    values.iter().map(place).collect()
}

fn greedy<V: Vectors + ?Sized>(
    rows: &V,
    initial: &[usize],
    budget: usize,
    similarity: Similarity,
    objective: Objective,
    watch: impl FnMut(&FacilityPick),
) -> Result<FacilityPicks, KCenterError> {
    check_numbers("initial rows", initial, rows.len())?;
    let left = rows.len() - initial.len();
    if budget > left {
        return Err(KCenterError::Budget { budget, initial: initial.len(), left });
    }
    Ok(Lazy::new(rows, similarity, initial)?.run(budget, objective, watch)?)
}
