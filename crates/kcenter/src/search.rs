//! The search for the farthest rows, without bringing every row up to date for every pick.
//!
//! Half the squared nearest distance of a row can only fall. What is known of it, from the centres seen
//! so far, is therefore a bound from above, and a row need not see further centres before its bound is
//! at the top. A round brings the rows at the top up to date, the more the less they turn out to hold,
//! until the farthest of them is provably the farthest of all; then it picks among these rows alone as
//! long as that stays provable ([`hot`](crate::hot)). What all other rows have missed they see in the
//! end, as products of large matrices.

use rayon::prelude::*;
use tamis_selection::vectors::{Vectors, VectorsError};

use crate::centers::Scratch;
use crate::far::{Far, farthest};
use crate::hot::Hot;
use crate::known::{CHOSEN, Known};
use crate::points::BLOCK;
use crate::{KCenterError, Metric, Pick, Picks};

/// Known distances looked at to guess how many rows lie above one.
const SAMPLE: usize = 4096;

/// Rows per task when all are looked through.
const SEGMENT: usize = 1 << 14;

/// Rows per task at least when some are brought up to date.
const LEAST: usize = 64;

/// Rows that a round begins with at least.
const TOP: usize = 256;

/// Least and greatest number of rows among which a round picks.
const HOT: (usize, usize) = (32, 1024);

/// All that is known, and how the next round goes about it.
pub(crate) struct Search<'a, V: ?Sized, W> {
    known: Known<'a, V, W>,
    /// How many rows the next round begins with, and among how many it picks.
    top: usize,
    hot: usize,
}

impl<'a, V: Vectors + ?Sized, W: FnMut(&Pick)> Search<'a, V, W> {
    pub(crate) fn new(
        rows: &'a V,
        metric: Metric,
        initial: &[usize],
        budget: usize,
        watch: W,
    ) -> Result<Self, KCenterError> {
        let known = Known::new(rows, metric, initial, budget, watch)?;
        Ok(Self { known, top: TOP, hot: HOT.0 })
    }

    /// Picks until the budget is full.
    pub(crate) fn run(&mut self) -> Result<(), VectorsError> {
        if self.known.left() > 0 && self.known.centers.len() == 0 {
            self.known.pick(Far { value: f64::INFINITY, row: 0 })?;
        }
        while self.known.left() > 0 {
            let (mut top, outside) = self.provable_top()?;
            let hot = self.hot.min(top.len());
            let rest = if hot < top.len() {
                let (_, first, _) = top.select_nth_unstable_by(hot, Far::order);
                Some(*first)
            } else {
                None
            };
            top.truncate(hot);
            let outside = farthest(outside.into_iter().chain(rest));
            let picked = Hot::new(&self.known, &top)?.run(&mut self.known, outside)?;
            if 4 * picked >= hot {
                self.hot = HOT.1.min(2 * self.hot);
            } else if 16 * picked < hot {
                self.hot = HOT.0.max(self.hot / 2);
            }
            self.top = self.top.max(2 * self.hot).max(TOP);
        }
        Ok(())
    }

    /// Rows that are up to date, the farthest of all rows among them, and a bound for all others.
    fn provable_top(&mut self) -> Result<(Vec<Far>, Option<Far>), VectorsError> {
        let mut wanted = self.top;
        let (mut least, mut most) = (0.0, f64::INFINITY);
        loop {
            // A row below the farthest that is up to date cannot be picked now.
            let floor = self.guess(wanted).max(least).min(most);
            let (rows, outside) = self.split(floor);
            let late = self.known.centers.len() as u32;
            let mut stale: Vec<usize> =
                rows.iter().copied().filter(|&row| self.known.seen[row] < late).collect();
            stale.sort_unstable_by_key(|&row| (self.known.seen[row], row));
            self.bring_up_to_date(&stale)?;
            let top: Vec<Far> =
                rows.iter().map(|&row| Far { value: self.known.nearest[row], row }).collect();
            if let Some(best) = farthest(top.iter().copied()) {
                if best.beats(outside.as_ref()) {
                    self.top = top.len() / 2;
                    return Ok((top, outside));
                }
                least = best.value;
            }
            most = outside.map_or(0.0, |outside| outside.value);
            wanted = 2 * wanted.max(rows.len());
        }
    }

    /// A distance that about so many rows not chosen are known to reach, and at least one does.
    fn guess(&self, wanted: usize) -> f64 {
        let step = self.known.nearest.len().div_ceil(SAMPLE);
        let mut sample: Vec<f64> = self
            .known
            .nearest
            .iter()
            .copied()
            .step_by(step)
            .filter(|&value| value > CHOSEN)
            .collect();
        if sample.is_empty() {
            return 0.0;
        }
        let rank = (wanted / step).min(sample.len() - 1);
        *sample.select_nth_unstable_by(rank, |a, b| b.total_cmp(a)).1
    }

    /// The rows known to be at most as near as the floor, ascending, and the farthest of the others.
    fn split(&self, floor: f64) -> (Vec<usize>, Option<Far>) {
        let look = |(segment, values): (usize, &[f64])| {
            let (mut rows, mut outside) = (Vec::new(), None::<Far>);
            for (row, &value) in (segment * SEGMENT..).zip(values) {
                if value >= floor {
                    rows.push(row);
                } else if value > outside.map_or(CHOSEN, |far| far.value) {
                    outside = Some(Far { value, row });
                }
            }
            (rows, outside)
        };
        let parts: Vec<_> = self.known.nearest.par_chunks(SEGMENT).enumerate().map(look).collect();
        let outside = farthest(parts.iter().filter_map(|part| part.1));
        (parts.into_iter().flat_map(|part| part.0).collect(), outside)
    }

    /// Lets rows see the centres they have missed. Neighbours in the list are multiplied together.
    fn bring_up_to_date(&mut self, rows: &[usize]) -> Result<(), VectorsError> {
        let (points, centers) = (&self.known.points, &self.known.centers);
        let (nearest, seen) = (&self.known.nearest, &self.known.seen);
        let lower = |scratch: &mut Scratch, rows: &[usize]| {
            let from = rows.iter().map(|&row| seen[row]).min().unwrap_or(0);
            let mut lowered: Vec<f64> = rows.iter().map(|&row| nearest[row]).collect();
            centers.lower(points, from as usize, rows, &mut lowered, scratch)?;
            Ok(lowered)
        };
        let scratch = || Scratch::new(centers.len());
        // What comes out does not depend on how the rows are divided.
        let share = rows.len().div_ceil(2 * rayon::current_num_threads());
        let lowered: Result<Vec<_>, VectorsError> =
            rows.par_chunks(share.clamp(LEAST, BLOCK)).map_init(scratch, lower).collect();
        let lowered = lowered?;
        let late = centers.len() as u32;
        for (&row, value) in rows.iter().zip(lowered.into_iter().flatten()) {
            self.known.nearest[row] = value;
            self.known.seen[row] = late;
        }
        Ok(())
    }

    /// Lets every row see all centres.
    pub(crate) fn finish(mut self) -> Result<Picks, VectorsError> {
        let late = self.known.centers.len() as u32;
        let mut stale: Vec<usize> = (0..self.known.nearest.len())
            .filter(|&row| self.known.nearest[row] > CHOSEN && self.known.seen[row] < late)
            .collect();
        // Segment by segment, so that a mapped file is read in order.
        stale.par_sort_unstable_by_key(|&row| (row / SEGMENT, self.known.seen[row], row));
        self.bring_up_to_date(&stale)?;
        let metric = self.known.points.metric();
        let nearest: Vec<f64> =
            self.known.nearest.iter().map(|&value| metric.distance(value.max(0.0))).collect();
        // The row farthest after a pick is the next pick.
        let mut coverage: Vec<f64> =
            self.known.picks.iter().skip(1).filter_map(|pick| pick.radius).collect();
        if !self.known.picks.is_empty() {
            coverage.push(nearest.iter().copied().fold(0.0, f64::max));
        }
        Ok(Picks { picks: self.known.picks, coverage, nearest })
    }
}
