//! How well rows are covered by what is chosen, as cosines, and what further rows would add.
//!
//! Cosines come from products in f32 whose rounding is bounded, so that gains made of them are bounds
//! from above; where it matters they are computed again in f64.

use rayon::prelude::*;
use tamis_selection::vectors::{Vectors, VectorsError};

use crate::block::Block;
use crate::centers::{ROUNDING, product_error};
use crate::points::{BLOCK, Points, sum_in_lanes};
use crate::product::multiply;
use crate::{KCenterError, Metric};

/// Rows that all others are multiplied with before the next ones are.
const WAVE: usize = 8 * BLOCK;

/// The cosine of every row to the row chosen that is most like it.
pub(crate) struct Cover<'a, V: ?Sized> {
    points: Points<'a, V>,
    best: Vec<f64>,
    /// Most that a cosine from a product in f32 can be off.
    error: f64,
}

/// The rows that a candidate is more like than what is chosen, ascending, and its cosines with them.
#[derive(Default)]
pub(crate) struct Wins {
    rows: Vec<u32>,
    cosines: Vec<f64>,
    exact: bool,
}

impl Wins {
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether the cosines are those of f64.
    pub(crate) fn is_exact(&self) -> bool {
        self.exact
    }
}

impl<'a, V: Vectors + ?Sized> Cover<'a, V> {
    /// With nothing chosen, when every cosine is held to be as low as said.
    pub(crate) fn new(rows: &'a V, lowest: f64) -> Result<Self, KCenterError> {
        let points = Points::new(rows, Metric::Cosine)?;
        let best = vec![lowest; points.len()];
        // Beside the product: coordinates of both are rounded twice, and bars below once.
        let error = product_error(points.width())
            + 8.0 * ROUNDING
            + points.width() as f64 * f64::from(f32::MIN_POSITIVE);
        Ok(Self { points, best, error })
    }

    pub(crate) fn len(&self) -> usize {
        self.best.len()
    }

    pub(crate) fn into_best(self) -> Vec<f64> {
        self.best
    }

    /// Bounds from above of what each row would add.
    pub(crate) fn bounds(&self) -> Result<Vec<f64>, VectorsError> {
        let count = self.len();
        let bars: Vec<f32> = self.best.iter().map(|&best| best as f32).collect();
        let mut gains = vec![0.0; count];
        let mut own = Block::default();
        for first in (0..count).step_by(WAVE) {
            let rows: Vec<usize> = (first..count.min(first + WAVE)).collect();
            let own = own.fill(&self.points, &rows)?;
            let scratch = || (Block::default(), vec![0.0; BLOCK * BLOCK]);
            let meet = |scratch: &mut (Block, Vec<f32>), (block, gains): (usize, &mut [f64])| {
                let (points, dots) = scratch;
                let start = first + block * BLOCK;
                let others: Vec<usize> = (start..start + gains.len()).collect();
                let points = points.fill(&self.points, &others)?;
                let mut part = vec![0.0; rows.len()];
                // Cosines are the same both ways: every pair of blocks meets once.
                for (sub, part) in part.chunks_mut(BLOCK).enumerate() {
                    let at = first + sub * BLOCK;
                    if at > start {
                        break;
                    }
                    let own = own.rows(sub * BLOCK..sub * BLOCK + part.len());
                    let dots = &mut dots[..others.len() * part.len()];
                    multiply(points, own.turned(), dots);
                    let mut sums = vec![0.0; part.len()];
                    let own_bars = &bars[at..at + part.len()];
                    let dots = dots.chunks_exact(part.len());
                    for ((dots, &bar), gain) in dots.zip(&bars[start..]).zip(&mut *gains) {
                        *gain += sum_above(dots, own_bars);
                        if at < start {
                            add_above(&mut sums, dots, bar);
                        }
                    }
                    part.iter_mut().zip(sums).for_each(|(part, sum)| *part += f64::from(sum));
                }
                Ok::<_, VectorsError>(part)
            };
            let blocks = gains[first..].par_chunks_mut(BLOCK).enumerate();
            let parts: Result<Vec<Vec<f64>>, _> = blocks.map_init(scratch, meet).collect();
            for part in parts? {
                gains[first..].iter_mut().zip(part).for_each(|(gain, part)| *gain += part);
            }
        }
        // Up to a block of numbers were added in f32.
        let (share, least) = (1.0 + 2.0 * BLOCK as f64 * ROUNDING, self.error * count as f64);
        Ok(gains.into_iter().map(|gain| gain * share + least).collect())
    }

    /// What some candidates would win.
    pub(crate) fn wins(&self, candidates: &[usize]) -> Result<Vec<Wins>, VectorsError> {
        let mut own = Block::default();
        let own = own.fill(&self.points, candidates)?;
        let scratch = || (Block::default(), vec![0.0; candidates.len() * BLOCK]);
        let meet = |scratch: &mut (Block, Vec<f32>), (block, best): (usize, &[f64])| {
            let (points, dots) = scratch;
            let start = block * BLOCK;
            let rows: Vec<usize> = (start..start + best.len()).collect();
            let dots = &mut dots[..candidates.len() * rows.len()];
            multiply(own, points.fill(&self.points, &rows)?.turned(), dots);
            let bars: Vec<f32> = best.iter().map(|best| (best - 2.0 * self.error) as f32).collect();
            let win = |dots: &[f32]| {
                let mut wins = Wins::default();
                for ((row, &dot), &bar) in (start..).zip(dots).zip(&bars) {
                    if dot > bar {
                        wins.rows.push(row as u32);
                        wins.cosines.push(f64::from(dot));
                    }
                }
                wins
            };
            Ok::<_, VectorsError>(dots.chunks_exact(rows.len()).map(win).collect::<Vec<_>>())
        };
        let blocks = self.best.par_chunks(BLOCK).enumerate();
        let parts: Result<Vec<Vec<Wins>>, _> = blocks.map_init(scratch, meet).collect();
        let parts = parts?;
        let join = |candidate: usize| {
            let mut all = Wins::default();
            for part in &parts {
                all.rows.extend_from_slice(&part[candidate].rows);
                all.cosines.extend_from_slice(&part[candidate].cosines);
            }
            all
        };
        Ok((0..candidates.len()).into_par_iter().map(join).collect())
    }

    /// What one candidate would win.
    pub(crate) fn wins_of(&self, candidate: usize) -> Result<Wins, VectorsError> {
        Ok(self.wins(&[candidate])?.pop().unwrap_or_default())
    }

    /// What a candidate would add: exactly if its wins are exact, otherwise a bound from above. Forgets rows
    /// that it no longer wins.
    pub(crate) fn gain(&self, wins: &mut Wins) -> f64 {
        let error = if wins.exact { 0.0 } else { self.error };
        let (mut kept, mut gain) = (0, 0.0);
        for place in 0..wins.len() {
            let (row, cosine) = (wins.rows[place], wins.cosines[place]);
            let more = cosine + error - self.best[row as usize];
            if more > 0.0 {
                (wins.rows[kept], wins.cosines[kept]) = (row, cosine);
                kept += 1;
                gain += more;
            }
        }
        wins.rows.truncate(kept);
        wins.cosines.truncate(kept);
        gain
    }

    /// Computes the cosines of a candidate in f64.
    pub(crate) fn make_exact(&self, candidate: usize, wins: &mut Wins) -> Result<(), VectorsError> {
        let mut scratch = Vec::new();
        let own = (self.points.given(candidate, &mut scratch)?, self.points.scale(candidate));
        let exact = |scratch: &mut Vec<f32>, (row, cosine): (&u32, &mut f64)| {
            let row = *row as usize;
            *cosine = cosine_of((self.points.given(row, scratch)?, self.points.scale(row)), own);
            Ok::<(), VectorsError>(())
        };
        let rows = wins.rows.par_iter().with_min_len(BLOCK);
        rows.zip(&mut wins.cosines).try_for_each_init(Vec::new, exact)?;
        wins.exact = true;
        Ok(())
    }

    /// Chooses a row with these wins, which are exact.
    pub(crate) fn choose(&mut self, wins: &Wins) {
        for (&row, &cosine) in wins.rows.iter().zip(&wins.cosines) {
            let best = &mut self.best[row as usize];
            *best = best.max(cosine);
        }
    }
}

/// Cosine of two rows as given with their scales, in f64.
fn cosine_of(a: (&[f32], f64), b: (&[f32], f64)) -> f64 {
    if a.1 == 0.0 && b.1 == 0.0 {
        return 1.0;
    }
    sum_in_lanes(a.0, b.0, |x, y| (x * a.1) * (y * b.1))
}

/// Sum of what lies above the bars, in lanes for vector instructions.
fn sum_above(dots: &[f32], bars: &[f32]) -> f64 {
    const LANES: usize = 16;
    let above = |dot: f32, bar: f32| if dot > bar { dot - bar } else { 0.0 };
    let (dots, bars) = (dots.chunks_exact(LANES), bars.chunks_exact(LANES));
    let rest = dots.remainder().iter().zip(bars.remainder());
    let rest: f32 = rest.map(|(&dot, &bar)| above(dot, bar)).sum();
    let mut lanes = [0.0; LANES];
    for (dots, bars) in dots.zip(bars) {
        for lane in 0..LANES {
            lanes[lane] += above(dots[lane], bars[lane]);
        }
    }
    f64::from(lanes.into_iter().sum::<f32>() + rest)
}

/// Adds what lies above one bar to a sum for each.
fn add_above(sums: &mut [f32], dots: &[f32], bar: f32) {
    for (sum, &dot) in sums.iter_mut().zip(dots) {
        *sum += if dot > bar { dot - bar } else { 0.0 };
    }
}
