//! Lazy greedy (Minoux, 1978): gains never rise, so that a gain known from earlier is a bound.
//!
//! A candidate is looked at again only when its bound is at the top, and is picked once its gain is known in
//! f64 and still there. Between two looks a candidate keeps the list of the rows that it wins, which only
//! gets shorter; candidates without a list are multiplied with all rows, some dozens at a time.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};

use crate::cover::{Cover, Wins};
use crate::{FacilityPick, FacilityPicks, KCenterError, Rows, Similarity};

/// Most candidates that are multiplied with all rows at a time, and the least.
const BATCH: (usize, usize) = (64, 8);

/// Numbers of a product with all rows.
const PRODUCT: usize = 1 << 24;

/// Entries of all lists together, for each row and at least: beyond, lists of the lowest candidates go.
const LISTED: (usize, usize) = (16, 1 << 22);

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
    /// How many picks that takes account of.
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
pub(crate) struct Lazy<'a, R: ?Sized> {
    cover: Cover<'a, R>,
    similarity: Similarity,
    line: Line,
    candidates: BinaryHeap<Candidate>,
    lists: HashMap<usize, Wins>,
    picked: usize,
}

impl<'a, R: Rows + ?Sized> Lazy<'a, R> {
    pub(crate) fn new(
        rows: &'a R,
        similarity: Similarity,
        initial: &[usize],
    ) -> Result<Self, KCenterError> {
        let (lowest, slope) = similarity.line();
        let mut cover = Cover::new(rows, lowest)?;
        for rows in initial.chunks(BATCH.1) {
            for (&row, mut wins) in rows.iter().zip(cover.wins(rows)) {
                cover.gain(&mut wins);
                cover.make_exact(row, &mut wins);
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
                seen: 0,
                exact: false,
            })
        };
        let candidates = cover.bounds().into_iter().enumerate().filter_map(candidate).collect();
        let lists = HashMap::new();
        Ok(Self { cover, similarity, line, candidates, lists, picked: 0 })
    }

    pub(crate) fn run(
        mut self,
        budget: usize,
        objective: Objective,
        mut watch: impl FnMut(&FacilityPick),
    ) -> FacilityPicks {
        if let Objective::Weighted { alpha, quality } = objective {
            self.weigh(alpha, quality);
        }
        let mut picks = Vec::with_capacity(budget);
        while picks.len() < budget {
            let Some(best) = self.best() else { break };
            let Candidate { row, gain, score, .. } = best;
            if let Some(wins) = self.lists.remove(&row) {
                self.cover.choose(&wins);
            }
            self.picked += 1;
            let pick = FacilityPick { index: row, gain: self.similarity.line().1 * gain, score };
            picks.push(pick);
            watch(&pick);
            self.forget();
        }
        let of_cosine = |cosine| self.similarity.of_cosine(cosine);
        let nearest = self.cover.into_best().into_iter().map(of_cosine).collect();
        FacilityPicks { picks, nearest }
    }

    /// Goes over to the weighted sum.
    fn weigh(&mut self, alpha: f64, quality: Vec<f64>) {
        let largest = self.best().map_or(0.0, |best| {
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
    }

    /// Takes out the best candidate, which nothing can beat; its list is there and exact.
    fn best(&mut self) -> Option<Candidate> {
        loop {
            let top = self.candidates.pop()?;
            let now = top.seen == self.picked;
            if now && top.exact {
                return Some(top);
            }
            let Some(wins) = self.lists.get_mut(&top.row) else {
                self.list(top);
                continue;
            };
            if now {
                self.cover.make_exact(top.row, wins);
            }
            let (gain, exact) = (self.cover.gain(wins), wins.is_exact());
            let score = self.line.score(top.row, gain);
            self.candidates.push(Candidate { score, gain, exact, seen: self.picked, ..top });
        }
    }

    /// Makes the lists of a candidate and of the next ones that have none.
    fn list(&mut self, top: Candidate) {
        let size = (PRODUCT / self.cover.len()).clamp(BATCH.1, BATCH.0);
        let (mut batch, mut others) = (vec![top], Vec::new());
        while batch.len() < size && others.len() < 2 * BATCH.0 {
            let Some(next) = self.candidates.pop() else { break };
            if self.lists.contains_key(&next.row) {
                others.push(next);
            } else {
                batch.push(next);
            }
        }
        self.candidates.extend(others);
        let rows: Vec<usize> = batch.iter().map(|candidate| candidate.row).collect();
        for (candidate, mut wins) in batch.into_iter().zip(self.cover.wins(&rows)) {
            let gain = self.cover.gain(&mut wins);
            let score = self.line.score(candidate.row, gain);
            self.lists.insert(candidate.row, wins);
            let candidate = Candidate { score, gain, seen: self.picked, exact: false, ..candidate };
            self.candidates.push(candidate);
        }
    }

    /// Keeps the lists within their limit: shortens all, then drops those of the lowest candidates.
    fn forget(&mut self) {
        let limit = LISTED.1.max(LISTED.0 * self.cover.len());
        let total = |lists: &HashMap<usize, Wins>| lists.values().map(Wins::len).sum::<usize>();
        if total(&self.lists) <= limit {
            return;
        }
        for wins in self.lists.values_mut() {
            self.cover.gain(wins);
        }
        let mut total = total(&self.lists);
        let listed = |candidate: &&Candidate| self.lists.contains_key(&candidate.row);
        let mut order: Vec<&Candidate> = self.candidates.iter().filter(listed).collect();
        order.sort_unstable();
        let rows: Vec<usize> = order.into_iter().map(|candidate| candidate.row).collect();
        for row in rows {
            if total <= limit / 2 {
                break;
            }
            total -= self.lists.remove(&row).map_or(0, |wins| wins.len());
        }
    }
}
