//! Lazy greedy (Minoux, 1978): gains never rise, so that a gain known from earlier is a bound.
//!
//! A candidate is looked at again only when its bound is at the top, and is picked once its gain is known in
//! f64 and still there. Between two looks a candidate keeps the list of the rows that it wins, which only
//! gets shorter; candidates without a list are multiplied with all rows, some dozens at a time.

use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};

use tamis_selection::vectors::{Vectors, VectorsError};

use crate::cover::{Cover, Wins};
use crate::{FacilityPick, FacilityPicks, KCenterError, Similarity};

/// Most candidates that are multiplied with all rows at a time, and the least.
const BATCH: (usize, usize) = (64, 8);

/// Numbers of a product with all rows.
const PRODUCT: usize = 1 << 24;

/// Entries of all lists together, for each row and at least: beyond, lists of the lowest candidates go.
const LISTED: (usize, usize) = (64, 1 << 24);

/// What is to be largest.
pub(crate) enum Objective {
    /// The gain.
    Gain,
    /// (1 − α) gain / largest gain + α quality.
    Weighted {
        /// α.
        alpha: f64,
        /// In [0, 1], one a row.
        quality: Vec<f64>,
    },
}

/// How gains become scores: a straight line of positive slope or, for nothing but quality, none.
struct Line {
    slope: f64,
    alpha: f64,
    quality: Vec<f64>,
}

impl Line {
    fn score(&self, row: usize, gain: f64) -> f64 {
        self.slope * gain + self.quality.get(row).map_or(0.0, |quality| self.alpha * quality)
    }
}

/// A row that may be picked; the greatest has the highest score, the lowest row of equal ones.
struct Candidate {
    score: f64,
    row: usize,
    /// What it adds, or a bound from above.
    gain: f64,
    /// How many picks that takes account of; `usize::MAX` before it was looked at.
    seen: usize,
    exact: bool,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

/// Lazy greedy over the rows.
pub(crate) struct Lazy<'a, V: ?Sized> {
    cover: Cover<'a, V>,
    similarity: Similarity,
    line: Line,
    candidates: BinaryHeap<Candidate>,
    lists: HashMap<usize, Wins>,
    /// Entries that all lists may have together.
    limit: usize,
    picked: usize,
}

impl<'a, V: Vectors + ?Sized> Lazy<'a, V> {
    pub(crate) fn new(
        rows: &'a V,
        similarity: Similarity,
        initial: &[usize],
    ) -> Result<Self, KCenterError> {
        let (lowest, slope) = similarity.line();
        let mut cover = Cover::new(rows, lowest)?;
        for rows in initial.chunks(BATCH.1) {
            for (&row, mut wins) in rows.iter().zip(cover.wins(rows)?) {
                cover.gain(&mut wins);
                cover.make_exact(row, &mut wins)?;
                cover.choose(&wins);
            }
        }
        let mut open = vec![true; cover.len()];
        for &row in initial {
            open[row] = false;
        }
        let line = Line { slope, alpha: 0.0, quality: Vec::new() };
        let candidate = |(row, gain): (usize, f64)| {
            open[row].then(|| Candidate {
                score: line.score(row, gain),
                row,
                gain,
                seen: usize::MAX,
                exact: false,
            })
        };
        let candidates = cover.bounds()?.into_iter().enumerate().filter_map(candidate).collect();
        let (lists, limit) = (HashMap::new(), LISTED.1.max(LISTED.0 * cover.len()));
        Ok(Self { cover, similarity, line, candidates, lists, limit, picked: 0 })
    }

    pub(crate) fn run(
        mut self,
        budget: usize,
        objective: Objective,
        mut watch: impl FnMut(&FacilityPick),
    ) -> Result<FacilityPicks, VectorsError> {
        if let Objective::Weighted { alpha, quality } = objective {
            self.weigh(alpha, quality)?;
        }
        let mut picks = Vec::with_capacity(budget);
        while picks.len() < budget {
            let Some(best) = self.best()? else { break };
            let Candidate { row, gain, score, .. } = best;
            self.choose(row);
            let pick = FacilityPick { index: row, gain: self.similarity.line().1 * gain, score };
            picks.push(pick);
            watch(&pick);
        }
        let of_cosine = |cosine| self.similarity.of_cosine(cosine);
        let nearest = self.cover.into_best().into_iter().map(of_cosine).collect();
        Ok(FacilityPicks { picks, nearest })
    }

    /// Chooses the best candidate.
    fn choose(&mut self, row: usize) {
        if let Some(wins) = self.lists.remove(&row) {
            self.cover.choose(&wins);
        }
        self.picked += 1;
    }

    /// Goes over to the weighted sum.
    fn weigh(&mut self, alpha: f64, quality: Vec<f64>) -> Result<(), VectorsError> {
        let largest = self.best()?.map_or(0.0, |best| {
            let gain = best.gain;
            self.candidates.push(best);
            gain
        });
        let slope = if largest > 0.0 { (1.0 - alpha) / largest } else { 0.0 };
        self.line = Line { slope, alpha, quality };
        let score = |candidate: Candidate| Candidate {
            score: self.line.score(candidate.row, candidate.gain),
            ..candidate
        };
        self.candidates = std::mem::take(&mut self.candidates).into_iter().map(score).collect();
        Ok(())
    }

    /// Takes out the best candidate, which nothing can beat; its list is there and exact.
    fn best(&mut self) -> Result<Option<Candidate>, VectorsError> {
        loop {
            let Some(top) = self.candidates.pop() else { return Ok(None) };
            let now = top.seen == self.picked;
            let listed = self.lists.contains_key(&top.row);
            if now && top.exact && listed {
                return Ok(Some(top));
            }
            if !now && !listed {
                self.list(top)?;
                continue;
            }
            // A list that was dropped since is made again for this candidate alone, and at once exact: from
            // a stale bound to a fresh one to the gain, no candidate ever goes back.
            if !listed {
                self.forget();
            }
            let wins = match self.lists.entry(top.row) {
                Entry::Occupied(there) => there.into_mut(),
                Entry::Vacant(room) => room.insert(self.cover.wins_of(top.row)?),
            };
            if now {
                self.cover.make_exact(top.row, wins)?;
            }
            let (gain, exact) = (self.cover.gain(wins), wins.is_exact());
            let score = self.line.score(top.row, gain);
            self.candidates.push(Candidate { score, gain, exact, seen: self.picked, ..top });
        }
    }

    /// Makes the lists of a candidate and of the next ones that have none.
    fn list(&mut self, top: Candidate) -> Result<(), VectorsError> {
        let size = (PRODUCT / self.cover.len()).clamp(BATCH.1, BATCH.0);
        let (mut batch, mut others) = (vec![top], Vec::new());
        while batch.len() < size && others.len() < 2 * BATCH.0 {
            let Some(next) = self.candidates.pop() else { break };
            if next.seen == self.picked || self.lists.contains_key(&next.row) {
                others.push(next);
            } else {
                batch.push(next);
            }
        }
        self.candidates.extend(others);
        let rows: Vec<usize> = batch.iter().map(|candidate| candidate.row).collect();
        for (candidate, mut wins) in batch.into_iter().zip(self.cover.wins(&rows)?) {
            let gain = self.cover.gain(&mut wins);
            let score = self.line.score(candidate.row, gain);
            self.lists.insert(candidate.row, wins);
            let candidate = Candidate { score, gain, seen: self.picked, exact: false, ..candidate };
            self.candidates.push(candidate);
        }
        self.forget();
        Ok(())
    }

    /// Entries of all lists together.
    fn listed(&self) -> usize {
        self.lists.values().map(Wins::len).sum()
    }

    /// Keeps the lists within their limit: shortens all, then drops those of the lowest candidates.
    fn forget(&mut self) {
        if self.listed() <= self.limit {
            return;
        }
        for wins in self.lists.values_mut() {
            self.cover.gain(wins);
        }
        let mut total = self.listed();
        let listed = |candidate: &&Candidate| self.lists.contains_key(&candidate.row);
        let mut order: Vec<&Candidate> = self.candidates.iter().filter(listed).collect();
        order.sort_unstable();
        let rows: Vec<usize> = order.into_iter().map(|candidate| candidate.row).collect();
        for row in rows {
            if total <= self.limit / 2 {
                break;
            }
            total -= self.lists.remove(&row).map_or(0, |wins| wins.len());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tamis_selection::vectors::ndarray::Array2;

    use super::Lazy;
    use crate::Similarity;

    #[test]
    fn lists_keep_within_their_limit_while_one_row_is_searched_for() {
        // Rows in all directions: each wins about half of all others, and after the first pick hundreds are
        // looked at again before the second is found.
        const COUNT: usize = 1500;
        let mut state = 9_u64;
        let rows = Array2::from_shape_simple_fn((COUNT, 12), || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        });
        let view = rows.view();
        let pick = |limit: usize| {
            let mut lazy = Lazy::new(&view, Similarity::ShiftedCosine, &[]).unwrap();
            lazy.limit = limit;
            let mut picks = Vec::new();
            for _ in 0..25 {
                let best = lazy.best().unwrap().unwrap();
                // One list may have been made anew for the best alone.
                assert!(lazy.listed() <= limit.saturating_add(COUNT), "{}", lazy.listed());
                lazy.choose(best.row);
                picks.push((best.row, best.gain.to_bits()));
            }
            picks
        };
        let free = pick(usize::MAX);
        for limit in [8 * COUNT, COUNT, 0] {
            assert_eq!(pick(limit), free, "{limit}");
        }
    }
}
