//! Rows in the order in which they are picked.

use std::cmp::Ordering;

/// A row and half its squared nearest distance; the farthest first, the lowest row of equal ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Far {
    pub(crate) value: f64,
    pub(crate) row: usize,
}

impl Far {
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        other.value.total_cmp(&self.value).then(self.row.cmp(&other.row))
    }

    /// Whether this row is picked even though the other might be as far as said.
    pub(crate) fn beats(&self, other: Option<&Self>) -> bool {
        other.is_none_or(|other| self.order(other) == Ordering::Less)
    }
}

/// The first in order.
pub(crate) fn farthest(of: impl IntoIterator<Item = Far>) -> Option<Far> {
    of.into_iter().min_by(Far::order)
}
