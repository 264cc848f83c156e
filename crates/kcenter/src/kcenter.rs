//! Greedy k-center: what it is asked and what it answers.

use tamis_selection::Vectors;

use crate::points::check_numbers;
use crate::search::Search;
use crate::{KCenterError, KCenterParams};

/// Greedy k-center with checked settings; made by [`KCenterParams::check`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KCenter {
    params: KCenterParams,
}

/// A row that was picked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    /// Its number, from 0.
    pub index: usize,
    /// Its distance to the nearest of the rows chosen before; `None` if there were none.
    pub radius: Option<f64>,
}

/// What greedy k-center picked.
#[derive(Clone, Debug, PartialEq)]
pub struct Picks {
    /// The rows, in the order in which they were picked.
    pub picks: Vec<Pick>,
    /// For every pick: the largest distance of any row to the nearest row chosen, with this pick.
    pub coverage: Vec<f64>,
    /// Distance of every row to the nearest row chosen, in the end.
    pub nearest: Vec<f64>,
}

impl Picks {
    /// The numbers of the rows, in the order in which they were picked.
    pub fn indices(&self) -> Vec<usize> {
        self.picks.iter().map(|pick| pick.index).collect()
    }
}

impl KCenter {
    /// Called by [`KCenterParams::check`] only.
    pub(crate) fn of(params: KCenterParams) -> Self {
        Self { params }
    }

    /// The settings.
    pub fn params(&self) -> &KCenterParams {
        &self.params
    }

    /// Picks again and again the row whose distance to the nearest row chosen so far is largest (Gonzalez,
    /// 1985), the first of equally far ones. `initial` rows count as chosen from the start; without any,
    /// the first pick is row 0. A smaller budget picks a beginning of the same list.
    ///
    /// Runs on the current rayon pool; its number of threads does not change the result.
    ///
    /// # Errors
    /// A budget beyond the rows that are not chosen yet; initial rows that do not exist or are named
    /// twice; no rows or columns, values that are not finite and rows too long for f32, by row.
    pub fn pick<V: Vectors + ?Sized>(
        &self,
        rows: &V,
        initial: &[usize],
    ) -> Result<Picks, KCenterError> {
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
        watch: impl FnMut(&Pick),
    ) -> Result<Picks, KCenterError> {
        check_numbers("initial rows", initial, rows.len())?;
        let (budget, left) = (self.params.budget, rows.len() - initial.len());
        if budget > left {
            return Err(KCenterError::Budget { budget, initial: initial.len(), left });
        }
        let mut search = Search::new(rows, self.params.metric, initial, budget, watch)?;
        search.run()?;
        Ok(search.finish()?)
    }
}

/// Distance of every row to the nearest of some chosen rows, at least one.
///
/// # Errors
/// No chosen rows, numbers that do not exist or occur twice, and rows that [`KCenter::pick`] refuses.
pub fn nearest_distances<V: Vectors + ?Sized>(
    rows: &V,
    metric: crate::Metric,
    chosen: &[usize],
) -> Result<Vec<f64>, KCenterError> {
    if chosen.is_empty() {
        return Err(KCenterError::NothingChosen);
    }
    check_numbers("chosen rows", chosen, rows.len())?;
    Ok(Search::new(rows, metric, chosen, 0, |_| ())?.finish()?.nearest)
}
