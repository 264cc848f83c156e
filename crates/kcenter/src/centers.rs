//! What was chosen so far, and what it does to the nearest distances of rows.
//!
//! Half a squared distance is ½|x − c|² = ½|x|² + (½|c|² − x·c). The bracket, the *score*, comes from
//! matrix products in f32; its rounding is bounded, and a distance that may be less than the one known
//! is computed again in f64 from the coordinates. So what is known is always the f64 minimum, although
//! almost all of the arithmetic is matrix products.

use pulp::Arch;
use tamis_selection::vectors::{Vectors, VectorsError};

use crate::block::Block;
use crate::points::BLOCK;
use crate::points::Points;
use crate::product::{Matrix, multiply};

/// Half the distance from 1 to the next f32: the greatest relative error of one operation.
pub(crate) const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

/// Centres per matrix product.
const COLUMNS: usize = 512;

/// Scores that are looked at together.
const LANES: usize = 16;

/// So few centres are not worth a product.
pub(crate) const FEW: usize = 4;

/// The rows chosen so far.
pub(crate) struct Centers {
    /// Row by row as given.
    given: Vec<f32>,
    scales: Vec<f64>,
    /// The points worked in, `COLUMNS` a panel: first the first numbers of all of them, then their second
    /// ones, and so on, as products read their right side fastest.
    panels: Vec<Vec<f32>>,
    /// Half their squared lengths.
    halves: Vec<f32>,
    longest: f64,
}

/// Room to work in, one for each thread.
pub(crate) struct Scratch {
    points: Block,
    dots: Vec<f32>,
    given: Vec<f32>,
}

impl Scratch {
    /// For as many centres at a time.
    pub(crate) fn new(centers: usize) -> Self {
        let dots = vec![0.0; BLOCK * centers.min(COLUMNS)];
        Self { points: Block::default(), dots, given: Vec::new() }
    }
}

impl Centers {
    pub(crate) fn new() -> Self {
        let (given, scales, panels, halves) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { given, scales, panels, halves, longest: 0.0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.halves.len()
    }

    /// Adds a row.
    pub(crate) fn push<V: Vectors + ?Sized>(
        &mut self,
        points: &Points<'_, V>,
        row: usize,
    ) -> Result<(), VectorsError> {
        let mut block = Block::default();
        let point = block.fill(points, &[row])?.numbers();
        let mut scratch = Vec::new();
        let given = points.given(row, &mut scratch)?;
        let column = self.len() % COLUMNS;
        if column == 0 {
            self.panels.push(vec![0.0; points.width() * COLUMNS]);
        }
        if let Some(panel) = self.panels.last_mut() {
            for (numbers, &number) in panel.chunks_exact_mut(COLUMNS).zip(point) {
                numbers[column] = number;
            }
        }
        self.given.extend_from_slice(given);
        self.scales.push(points.scale(row));
        self.halves.push((points.square(row) / 2.0) as f32);
        self.longest = self.longest.max(points.square(row).sqrt());
        Ok(())
    }

    /// Half a squared distance of a row in f64.
    pub(crate) fn half_square<V: Vectors + ?Sized>(
        &self,
        points: &Points<'_, V>,
        row: (&[f32], f64),
        center: usize,
    ) -> f64 {
        let columns = points.columns();
        let given = &self.given[center * columns..(center + 1) * columns];
        points.half_square(row, (given, self.scales[center]))
    }

    /// Most that ½|x|² + score can be off for a point x of this squared length.
    ///
    /// Beside the [product](product_error): coordinates are
    /// rounded at most twice, which moves half a squared distance by at most 2 u (|x| + |c|)²; rounding
    /// ½|c|² and the difference costs less than as much again. Products that vanish in f32 are the last term.
    pub(crate) fn error(&self, width: usize, square: f64) -> f64 {
        let length = square.sqrt();
        product_error(width) * length * self.longest
            + 4.0 * ROUNDING * (length + self.longest).powi(2)
            + width as f64 * f64::from(f32::MIN_POSITIVE)
    }

    /// The score of a centre, given x·c.
    pub(crate) fn score(&self, center: usize, dot: f32) -> f32 {
        self.halves[center] - dot
    }

    /// Lowers half the squared nearest distances of some rows to what the centres from `from` on make of
    /// them.
    pub(crate) fn lower<V: Vectors + ?Sized>(
        &self,
        points: &Points<'_, V>,
        from: usize,
        rows: &[usize],
        nearest: &mut [f64],
        scratch: &mut Scratch,
    ) -> Result<(), VectorsError> {
        let Scratch { points: block, dots, given } = scratch;
        if self.len() - from <= FEW {
            for (&row, nearest) in rows.iter().zip(nearest) {
                let row = (points.given(row, given)?, points.scale(row));
                for center in from..self.len() {
                    *nearest = nearest.min(self.half_square(points, row, center));
                }
            }
            return Ok(());
        }
        for (rows, nearest) in rows.chunks(BLOCK).zip(nearest.chunks_mut(BLOCK)) {
            let block = block.fill(points, rows)?;
            let panels = self.panels.iter().zip((0..).step_by(COLUMNS));
            for (panel, start) in panels.skip(from / COLUMNS) {
                let (first, last) = (from.max(start), self.len().min(start + COLUMNS));
                let centers = Matrix::of_rows(panel, COLUMNS).columns(first - start..last - start);
                let dots = &mut dots[..rows.len() * (last - first)];
                multiply(block, centers, dots);
                let halves = &self.halves[first..last];
                let dots = dots.chunks_exact(last - first);
                for ((dots, &row), nearest) in dots.zip(rows).zip(&mut *nearest) {
                    let lowest = lowest_score(halves, dots);
                    let half = points.square(row) / 2.0;
                    let error = self.error(points.width(), points.square(row));
                    let may_be_nearer =
                        |score: f32, nearest: f64| f64::from(score) < nearest - half + error;
                    if !may_be_nearer(lowest, *nearest) {
                        continue;
                    }
                    let row = (points.given(row, given)?, points.scale(row));
                    // The likely nearest first, so that hardly another one passes.
                    let likely =
                        next_below(halves, dots, 0, lowest).map_or(0, |(center, _)| center);
                    *nearest = nearest.min(self.half_square(points, row, first + likely));
                    // Rounded up: no score that may be nearer lies above.
                    let mut from = 0;
                    while let Some((center, score)) =
                        next_below(halves, dots, from, ((*nearest - half + error) as f32).next_up())
                    {
                        if center != likely && may_be_nearer(score, *nearest) {
                            *nearest = nearest.min(self.half_square(points, row, first + center));
                        }
                        from = center + 1;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Most that a product x·c of n terms in f32 can be off, in any order of the additions, as a share of
/// |x| |c|: n u / (1 − n u).
pub(crate) fn product_error(terms: usize) -> f64 {
    let error = terms as f64 * ROUNDING;
    if error < 0.5 { error / (1.0 - error) } else { f64::INFINITY }
}

/// The first score ½|c|² − x·c from a centre on that is at most so high, and its centre.
fn next_below(halves: &[f32], dots: &[f32], from: usize, limit: f32) -> Option<(usize, f32)> {
    Arch::new().dispatch(|| {
        let scores = halves[from..].chunks(LANES).zip(dots[from..].chunks(LANES));
        for ((halves, dots), start) in scores.zip((from..).step_by(LANES)) {
            // All of them first: hardly ever is there one.
            let above = halves.iter().zip(dots).map(|(half, dot)| half - dot > limit);
            if above.fold(true, |all, above| all & above) {
                continue;
            }
            let mut scores = halves.iter().zip(dots).map(|(half, dot)| half - dot).zip(start..);
            return scores
                .find(|(score, _)| *score <= limit)
                .map(|(score, center)| (center, score));
        }
        None
    })
}

/// The lowest of ½|c|² − x·c.
fn lowest_score(halves: &[f32], dots: &[f32]) -> f32 {
    Arch::new().dispatch(|| lowest(halves, dots))
}

#[expect(clippy::inline_always, reason = "only what is inlined gets the wide instructions")]
#[inline(always)]
fn lowest(halves: &[f32], dots: &[f32]) -> f32 {
    let lower = |a: f32, b: f32| if a < b { a } else { b };
    let (halves, dots) = (halves.chunks_exact(LANES), dots.chunks_exact(LANES));
    let rest = halves.remainder().iter().zip(dots.remainder()).map(|(half, dot)| half - dot);
    let rest = rest.fold(f32::INFINITY, lower);
    let mut lanes = [f32::INFINITY; LANES];
    for (halves, dots) in halves.zip(dots) {
        for lane in 0..LANES {
            lanes[lane] = lower(halves[lane] - dots[lane], lanes[lane]);
        }
    }
    lanes.into_iter().fold(rest, lower)
}
