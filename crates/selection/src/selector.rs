//! What chooses.

use crate::candidates::Candidates;
use crate::error::SelectionError;
use crate::selection::Selection;

/// Chooses among candidates.
///
/// A selector decides about every candidate, chooses at most `budget` of them, and gives equal selections for equal input.
pub trait Selector {
    /// Decides about every candidate, choosing at most `budget`.
    ///
    /// # Errors
    /// Candidates without what the selector looks at, a budget that it cannot fill, settings that make no sense.
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError>;
}
