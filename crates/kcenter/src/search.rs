//! The search for the farthest rows, without bringing every row up to date for every pick.
//!
//! Half the squared nearest distance of a row can only fall. What is known of it, from the centres seen
//! so far, is therefore a bound from above, and a row need not see further centres before its bound is
//! at the top. A round brings the rows at the top up to date, the more the less they turn out to hold,
//! until the farthest of them is provably the farthest of all; then it picks among these rows alone as
//! long as that stays provable ([`hot`](crate::hot)). What all other rows have missed they see in the
//! end, as products of large matrices.

use std::cmp::Ordering;

use rayon::prelude::*;

use crate::centers::{Centers, FEW, Scratch};
use crate::hot::Hot;
use crate::points::{BLOCK, Points};
use crate::{KCenterError, Metric, Pick, Picks, Rows};

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

/// Stands for the distance of chosen rows, below that of all others.
const CHOSEN: f64 = -1.0;

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

/// All that is known.
pub(crate) struct Search<'a, R: ?Sized, W> {
    pub(crate) points: Points<'a, R>,
    pub(crate) centers: Centers,
    /// Half the squared distance of every row to the nearest centre it has seen.
    nearest: Vec<f64>,
    /// How many centres a row has seen.
    seen: Vec<u32>,
    picks: Vec<Pick>,
    budget: usize,
    /// How many rows the next round begins with, and among how many it picks.
    top: usize,
    hot: usize,
    watch: W,
}

impl<'a, R: Rows + ?Sized, W: FnMut(&Pick)> Search<'a, R, W> {
    pub(crate) fn new(
        rows: &'a R,
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
        let mut search = Self {
            points,
            centers: Centers::new(),
            nearest,
            seen,
            picks: Vec::with_capacity(budget),
            budget,
            top: TOP,
            hot: HOT.0,
            watch,
        };
        for &row in initial {
            search.choose(row);
        }
        Ok(search)
    }

    /// Picks until the budget is full.
    pub(crate) fn run(&mut self) {
        if self.left() > 0 && self.centers.len() == 0 {
            self.pick(Far { value: f64::INFINITY, row: 0 });
        }
        while self.left() > 0 {
            let (mut top, outside) = self.provable_top();
            let hot = self.hot.min(top.len());
            let rest = if hot < top.len() {
                let (_, first, _) = top.select_nth_unstable_by(hot, Far::order);
                Some(*first)
            } else {
                None
            };
            top.truncate(hot);
            let outside = farthest(outside.into_iter().chain(rest));
            let picked = Hot::new(self, &top).run(self, outside);
            if 4 * picked >= hot {
                self.hot = HOT.1.min(2 * self.hot);
            } else if 16 * picked < hot {
                self.hot = HOT.0.max(self.hot / 2);
            }
            self.top = self.top.max(2 * self.hot).max(TOP);
        }
    }

    /// Picks still to be made.
    pub(crate) fn left(&self) -> usize {
        self.budget - self.picks.len()
    }

    pub(crate) fn pick(&mut self, far: Far) {
        let Far { value, row } = far;
        let metric = self.points.metric();
        let radius = value.is_finite().then(|| metric.distance(value));
        let pick = Pick { index: row, radius };
        self.picks.push(pick);
        self.choose(row);
        (self.watch)(&pick);
    }

    fn choose(&mut self, row: usize) {
        self.centers.push(&self.points, row);
        self.nearest[row] = CHOSEN;
    }

    /// Takes down what a row is found to be after all centres so far.
    pub(crate) fn note(&mut self, far: Far) {
        self.nearest[far.row] = far.value;
        self.seen[far.row] = self.centers.len() as u32;
    }

    /// Rows that are up to date, the farthest of all rows among them, and a bound for all others.
    fn provable_top(&mut self) -> (Vec<Far>, Option<Far>) {
        let mut wanted = self.top;
        let (mut least, mut most) = (0.0, f64::INFINITY);
        loop {
            // A row below the farthest that is up to date cannot be picked now.
            let floor = self.guess(wanted).max(least).min(most);
            let (rows, outside) = self.split(floor);
            let late = self.centers.len() as u32;
            let mut stale: Vec<usize> =
                rows.iter().copied().filter(|&row| self.seen[row] < late).collect();
            stale.sort_unstable_by_key(|&row| (self.seen[row], row));
            self.bring_up_to_date(&stale);
            let top: Vec<Far> =
                rows.iter().map(|&row| Far { value: self.nearest[row], row }).collect();
            if let Some(best) = farthest(top.iter().copied()) {
                if best.beats(outside.as_ref()) {
                    self.top = top.len() / 2;
                    return (top, outside);
                }
                least = best.value;
            }
            most = outside.map_or(0.0, |outside| outside.value);
            wanted = 2 * wanted.max(rows.len());
        }
    }

    /// A distance that about so many rows not chosen are known to reach, and at least one does.
    fn guess(&self, wanted: usize) -> f64 {
        let step = self.nearest.len().div_ceil(SAMPLE);
        let mut sample: Vec<f64> =
            self.nearest.iter().copied().step_by(step).filter(|&value| value > CHOSEN).collect();
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
        let parts: Vec<_> = self.nearest.par_chunks(SEGMENT).enumerate().map(look).collect();
        let outside = farthest(parts.iter().filter_map(|part| part.1));
        (parts.into_iter().flat_map(|part| part.0).collect(), outside)
    }

    /// Lets rows see the centres they have missed. Neighbours in the list are multiplied together.
    fn bring_up_to_date(&mut self, rows: &[usize]) {
        let (points, centers) = (&self.points, &self.centers);
        let (nearest, seen) = (&self.nearest, &self.seen);
        let lower = |scratch: &mut Scratch, rows: &[usize]| {
            let from = rows.iter().map(|&row| seen[row]).min().unwrap_or(0);
            let mut lowered: Vec<f64> = rows.iter().map(|&row| nearest[row]).collect();
            centers.lower(points, from as usize, rows, &mut lowered, scratch);
            lowered
        };
        let scratch = || Scratch::new(centers.len());
        // What comes out does not depend on how the rows are divided.
        let share = rows.len().div_ceil(2 * rayon::current_num_threads());
        let lowered: Vec<_> =
            rows.par_chunks(share.clamp(LEAST, BLOCK)).map_init(scratch, lower).collect();
        let late = centers.len() as u32;
        for (&row, value) in rows.iter().zip(lowered.into_iter().flatten()) {
            self.nearest[row] = value;
            self.seen[row] = late;
        }
    }

    /// Lets every row see all centres.
    pub(crate) fn finish(mut self) -> Picks {
        let late = self.centers.len() as u32;
        let mut stale: Vec<usize> = (0..self.nearest.len())
            .filter(|&row| self.nearest[row] > CHOSEN && self.seen[row] < late)
            .collect();
        // Segment by segment, so that a mapped file is read in order.
        stale.par_sort_unstable_by_key(|&row| (row / SEGMENT, self.seen[row], row));
        self.bring_up_to_date(&stale);
        let metric = self.points.metric();
        let nearest: Vec<f64> =
            self.nearest.iter().map(|&value| metric.distance(value.max(0.0))).collect();
        // The row farthest after a pick is the next pick.
        let mut coverage: Vec<f64> =
            self.picks.iter().skip(1).filter_map(|pick| pick.radius).collect();
        if !self.picks.is_empty() {
            coverage.push(nearest.iter().copied().fold(0.0, f64::max));
        }
        Picks { picks: self.picks, coverage, nearest }
    }
}
