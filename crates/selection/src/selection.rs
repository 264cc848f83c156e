//! What was chosen, and why.

use crate::error::SelectionError;
use crate::why::Why;

/// A choice: which rows, in which order, and for each row of the candidates why or why not.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    order: Vec<usize>,
    selected: Vec<bool>,
    whys: Vec<Why>,
}

/// What was decided about one row, with the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The row's place among the candidates.
    pub position: usize,
    /// Whether it was chosen.
    pub selected: bool,
    /// Why, in a few words that a reader of `scores.jsonl` understands.
    pub reason: String,
}

impl Selection {
    /// A choice of the rows at the positions in `order`, and a reason for each row, `whys[position]`.
    ///
    /// # Errors
    /// [`SelectionError::Position`] for a position beyond the rows, or one that comes twice.
    pub fn new(order: Vec<usize>, whys: Vec<Why>) -> Result<Self, SelectionError> {
        let mut selected = vec![false; whys.len()];
        for &position in &order {
            match selected.get_mut(position) {
                Some(chosen) if !*chosen => *chosen = true,
                _ => return Err(SelectionError::Position { position, rows: whys.len() }),
            }
        }
        Ok(Self { order, selected, whys })
    }

    /// The rows that were chosen, in the order of the choice.
    pub fn positions(&self) -> &[usize] {
        &self.order
    }

    /// The rows that were chosen, in the order of the candidates.
    pub fn ascending(&self) -> Vec<usize> {
        (0..self.len()).filter(|&position| self.selected[position]).collect()
    }

    /// How many were chosen.
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// How many rows were decided about.
    pub fn len(&self) -> usize {
        self.whys.len()
    }

    /// Whether there was no row to decide about.
    pub fn is_empty(&self) -> bool {
        self.whys.is_empty()
    }

    /// Whether this row was chosen; one that there is not was not.
    pub fn is_selected(&self, position: usize) -> bool {
        self.selected.get(position).copied().unwrap_or(false)
    }

    /// The reasons, one for each row.
    pub fn whys(&self) -> &[Why] {
        &self.whys
    }

    /// The reason for this row in words; none if there is no such row.
    pub fn reason(&self, position: usize) -> Option<String> {
        self.whys.get(position).map(ToString::to_string)
    }

    /// The decision about each row, in the order of the candidates. Words are made as they are asked for.
    pub fn decisions(&self) -> impl ExactSizeIterator<Item = Decision> {
        self.whys.iter().zip(&self.selected).enumerate().map(|(position, (why, &selected))| {
            Decision { position, selected, reason: why.to_string() }
        })
    }
}
