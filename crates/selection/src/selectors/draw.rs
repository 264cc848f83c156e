//! A random choice.

use serde::{Deserialize, Serialize};
use tamis_artifact::Random;

use crate::candidates::Candidates;
use crate::error::SelectionError;
use crate::selection::Selection;
use crate::selector::Selector;
use crate::why::Why;

/// Draws rows at random. What is drawn depends on the seed and the ids of the rows; on their positions where there are no
/// ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// Another seed, another choice.
    pub seed: u64,
}

impl Selector for Draw {
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError> {
        let number = |position: usize| {
            let name = candidates
                .id(position)
                .map_or_else(|| position.to_string(), std::string::ToString::to_string);
            Random::keyed(self.seed, "selection by chance", &name).fraction()
        };
        let mut order: Vec<(f64, usize)> =
            (0..candidates.len()).map(|position| (number(position), position)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        order.truncate(budget);
        let order: Vec<usize> = order.into_iter().map(|(_, position)| position).collect();
        let mut whys = vec![Why::words("not drawn"); candidates.len()];
        let drawn = Why::words("drawn at random");
        for &position in &order {
            whys[position] = drawn.clone();
        }
        Selection::new(order, whys)
    }
}
