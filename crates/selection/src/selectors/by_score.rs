//! Selection by scores: bounds, a ranking, and what groups are promised.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::column::ColumnFilter;
use super::quota::{self, Quota};
use crate::candidates::Candidates;
use crate::error::SelectionError;
use crate::filter::Take;
use crate::scorer::Score;
use crate::selection::Selection;
use crate::selector::Selector;
use crate::why::{Fate, Why};

/// Which end of the ranking is taken first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// High scores, as for IFD: there the model has most to learn.
    #[default]
    HighestFirst,
    /// Low scores, as for r-IFD or perplexity.
    LowestFirst,
}

/// Chooses the rows that pass all filters, the best first, as many as are to be taken and as the groups are promised. Equal
/// scores come in the order of the candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ByScore {
    /// The column that rows are ranked by.
    pub rank: String,
    /// Which end of the ranking comes first.
    #[serde(default)]
    pub order: Order,
    /// Filters that every row passes, one after the other; a row without the score passes none.
    #[serde(default)]
    pub filters: Vec<ColumnFilter>,
    /// How many are taken, at most. With a budget, the lesser of both.
    #[serde(default)]
    pub take: Take,
    /// What the groups are promised.
    #[serde(default)]
    pub quota: Quota,
}

/// What becomes of rows before any is compared with another.
struct Passed {
    /// Positions of those that pass all filters, the best first, equal ones in order.
    ranked: Vec<usize>,
    /// Why the others do not.
    reasons: HashMap<usize, Why>,
}

impl ByScore {
    /// All rows, ranked by this column, the highest first.
    pub fn new(rank: impl Into<String>) -> Self {
        let (order, take, quota) = (Order::default(), Take::default(), Quota::default());
        Self { rank: rank.into(), order, filters: Vec::new(), take, quota }
    }

    /// Refuses a share outside of 0 to 1 and bounds that are no numbers.
    ///
    /// # Errors
    /// [`SelectionError::Parameter`] with the value.
    pub fn check(self) -> Result<Self, SelectionError> {
        self.take.check()?;
        self.filters.iter().try_for_each(|one| one.filter.check())?;
        Ok(self)
    }

    /// How many rows are to be chosen: the count, or the share of what it is a share of.
    ///
    /// # Errors
    /// As [`Selector::select`].
    pub fn budget(&self, candidates: &Candidates<'_>) -> Result<usize, SelectionError> {
        Ok(self.take.of(candidates.len(), self.passed(candidates)?.ranked.len())?)
    }

    /// Decides about every row, within the budget that the settings say.
    ///
    /// # Errors
    /// As [`Selector::select`].
    pub fn choose(&self, candidates: &Candidates<'_>) -> Result<Selection, SelectionError> {
        self.select(candidates, usize::MAX)
    }

    /// Refuses a quota that cannot be kept with the groups of all candidates, one each, before they are scored: with a
    /// group that there is not, or with promises beyond the rows to be chosen. Promises are counted as far as the groups
    /// have rows, and the rows to be chosen as if all passed the filters.
    ///
    /// # Errors
    /// [`SelectionError::UnknownGroup`], [`SelectionError::Quota`].
    pub fn check_groups<'g>(
        &self,
        groups: impl ExactSizeIterator<Item = Option<&'g str>>,
    ) -> Result<(), SelectionError> {
        let budget = self.take.of(groups.len(), groups.len())?;
        quota::check(&self.quota, groups, budget)
    }

    fn passed(&self, candidates: &Candidates<'_>) -> Result<Passed, SelectionError> {
        let scores = candidates.need_scores()?;
        let mut reasons = HashMap::new();
        let mut left: Vec<usize> = (0..candidates.len()).collect();
        // Those that have a score in the column, with it.
        let having = |left: &[usize], column: &str, reasons: &mut HashMap<usize, Why>| {
            let (name, all): (Arc<str>, _) = (column.into(), scores.column(column)?);
            let mut values = Vec::with_capacity(left.len());
            for &position in left {
                match all[position] {
                    &Score::Value(value) if value.is_finite() => values.push((position, value)),
                    &Score::Value(value) => {
                        let row = &scores.rows[position];
                        let (id, index, column) = (row.id.clone(), row.index, column.to_owned());
                        return Err(SelectionError::NotFinite { id, index, column, value });
                    }
                    Score::Missing(reason) => {
                        let (column, reason) = (name.clone(), reason.clone());
                        reasons.insert(position, Why::Unscored { column, reason });
                    }
                }
            }
            Ok((name, values))
        };
        for ColumnFilter { column, filter } in &self.filters {
            let (name, mut values) = having(&left, column, &mut reasons)?;
            let (out, filter) = filter.apply(candidates.len(), &mut values)?;
            for (position, _) in out {
                reasons.insert(position, Why::Outside { column: name.clone(), filter });
            }
            left = values.into_iter().map(|(position, _)| position).collect();
        }
        let (_, mut values) = having(&left, &self.rank, &mut reasons)?;
        // A stable sort keeps equal scores in the order of the candidates.
        match self.order {
            Order::HighestFirst => values.sort_by(|a, b| b.1.total_cmp(&a.1)),
            Order::LowestFirst => values.sort_by(|a, b| a.1.total_cmp(&b.1)),
        }
        let ranked = values.into_iter().map(|(position, _)| position).collect();
        Ok(Passed { ranked, reasons })
    }
}

impl Selector for ByScore {
    /// Chooses at most `budget` rows, and at most as many as are to be taken; a budget of 0 chooses none.
    ///
    /// # Errors
    /// [`SelectionError::Column`] for a column that there is not, [`SelectionError::NotFinite`] for a score that is NaN or
    /// infinite, [`SelectionError::Quota`] and [`SelectionError::UnknownGroup`] for promises that cannot be kept.
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError> {
        let Passed { ranked, mut reasons } = self.passed(candidates)?;
        let budget = budget.min(self.take.of(candidates.len(), ranked.len())?);
        let fates = quota::choose(&self.quota, candidates, &ranked, budget)?;
        let (column, of): (Arc<str>, _) = (self.rank.as_str().into(), ranked.len());
        let mut order = Vec::new();
        for (place, (&position, fate)) in ranked.iter().zip(fates).enumerate() {
            let (column, rank) = (column.clone(), place + 1);
            reasons.insert(position, Why::Ranked { column, rank, of, fate });
            if Fate::is_chosen(fate) {
                order.push(position);
            }
        }
        let why = |position| reasons.remove(&position).unwrap_or_else(|| Why::words("not ranked"));
        Selection::new(order, (0..candidates.len()).map(why).collect())
    }
}
