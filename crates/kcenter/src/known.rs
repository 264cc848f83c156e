//! What is known of the nearest distances while rows are picked.

use tamis_selection::vectors::{Vectors, VectorsError};

use crate::centers::{Centers, FEW};
use crate::far::Far;
use crate::points::Points;
use crate::{KCenterError, Metric, Pick};

/// Stands for the distance of chosen rows, below that of all others.
pub(crate) const CHOSEN: f64 = -1.0;

/// The rows, those chosen, and how near the others are to what they have seen of them.
pub(crate) struct Known<'a, V: ?Sized, W> {
    pub(crate) points: Points<'a, V>,
    pub(crate) centers: Centers,
    /// Half the squared distance of every row to the nearest centre it has seen.
    pub(crate) nearest: Vec<f64>,
    /// How many centres a row has seen.
    pub(crate) seen: Vec<u32>,
    pub(crate) picks: Vec<Pick>,
    budget: usize,
    watch: W,
}

impl<'a, V: Vectors + ?Sized, W: FnMut(&Pick)> Known<'a, V, W> {
    pub(crate) fn new(
        rows: &'a V,
        metric: Metric,
        initial: &[usize],
        budget: usize,
        watch: W,
    ) -> Result<Self, KCenterError> {
        // Without initial rows the first pick is known.
        let first = if initial.is_empty() && budget > 0 { &[0] } else { initial };
        let first = if first.len() <= FEW { first } else { &[] };
        let (points, nearest) = Points::meeting(rows, metric, first)?;
        let seen = vec![first.len() as u32; points.len()];
        let (centers, picks) = (Centers::new(), Vec::with_capacity(budget));
        let mut known = Self { points, centers, nearest, seen, picks, budget, watch };
        for &row in initial {
            known.choose(row)?;
        }
        Ok(known)
    }

    /// Picks still to be made.
    pub(crate) fn left(&self) -> usize {
        self.budget - self.picks.len()
    }

    pub(crate) fn pick(&mut self, far: Far) -> Result<(), VectorsError> {
        let Far { value, row } = far;
        let metric = self.points.metric();
        let radius = value.is_finite().then(|| metric.distance(value));
        let pick = Pick { index: row, radius };
        self.choose(row)?;
        self.picks.push(pick);
        (self.watch)(&pick);
        Ok(())
    }

    fn choose(&mut self, row: usize) -> Result<(), VectorsError> {
        self.centers.push(&self.points, row)?;
        self.nearest[row] = CHOSEN;
        Ok(())
    }

    /// Takes down what a row is found to be after all centres so far.
    pub(crate) fn note(&mut self, far: Far) {
        self.nearest[far.row] = far.value;
        self.seen[far.row] = self.centers.len() as u32;
    }
}
