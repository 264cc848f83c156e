//! The rows as the algorithms see them: checked, near the origin (Euclidean) or of length one (cosine).

use pulp::Arch;
use rayon::prelude::*;
use tamis_selection::vectors::{Vectors, VectorsError};

use crate::{KCenterError, Metric};

/// Rows per block of a matrix product: enough to keep the kernel busy, few enough for the cache.
pub(crate) const BLOCK: usize = 256;

/// Greatest length of a row: the square of twice as much is finite in f32.
pub(crate) const LONGEST: f64 = 4e18;

/// Rows from which the middle is estimated.
const SAMPLE: usize = 1024;

/// Rows with what turns them into the points worked in.
pub(crate) struct Points<'a, V: ?Sized> {
    rows: &'a V,
    metric: Metric,
    /// Subtracted from every row: about their mean if they lie farther from the origin than from it (the
    /// rounding of products grows with the distance from the origin), otherwise nothing at all.
    shift: Vec<f32>,
    /// One over the length of each row, 0 for rows of zeros; for cosine only.
    scale: Vec<f64>,
    /// Squared length of every point worked in.
    squares: Vec<f64>,
    /// Numbers of a point: for cosine one more than a row has if some rows are zeros. That number is 1 in
    /// those rows and 0 in the others: a direction of their own.
    width: usize,
}

impl<'a, V: Vectors + ?Sized> Points<'a, V> {
    /// Reads all rows once: checks them and measures their lengths.
    pub(crate) fn new(rows: &'a V, metric: Metric) -> Result<Self, KCenterError> {
        Ok(Self::meeting(rows, metric, &[])?.0)
    }

    /// As [`new`](Self::new), and half the squared distance of every row to the nearest of a few centres,
    /// infinity without any: rows that come from a disk are read once for both.
    pub(crate) fn meeting(
        rows: &'a V,
        metric: Metric,
        centers: &[usize],
    ) -> Result<(Self, Vec<f64>), KCenterError> {
        let (count, columns) = (rows.len(), rows.width());
        if count == 0 {
            return Err(KCenterError::NoRows);
        }
        if columns == 0 {
            return Err(KCenterError::NoColumns { rows: count });
        }
        let limit = u32::MAX as usize;
        if count > limit {
            return Err(KCenterError::TooManyRows { found: count, limit });
        }
        let shift = match metric {
            Metric::Euclidean => middle(rows)?,
            Metric::Cosine => Vec::new(),
        };
        let (scale, squares) = (Vec::new(), Vec::new());
        let mut points = Self { rows, metric, shift, scale, squares, width: columns };
        let nearest = points.measure(centers)?;
        Ok((points, nearest))
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Numbers of a row as given.
    pub(crate) fn columns(&self) -> usize {
        self.rows.width()
    }

    /// Numbers of a point.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn metric(&self) -> Metric {
        self.metric
    }

    /// Squared length of a point.
    pub(crate) fn square(&self, row: usize) -> f64 {
        self.squares[row]
    }

    /// One over the length of a row as given, 0 for a row of zeros; 1 if the metric is not cosine.
    pub(crate) fn scale(&self, row: usize) -> f64 {
        self.scale.get(row).copied().unwrap_or(1.0)
    }

    /// A row as given.
    pub(crate) fn given<'s>(
        &'s self,
        row: usize,
        scratch: &'s mut Vec<f32>,
    ) -> Result<&'s [f32], VectorsError> {
        self.rows.block(row, 1, scratch)
    }

    /// Where the rows are as given.
    pub(crate) fn rows(&self) -> &V {
        self.rows
    }

    /// Whether the points are the rows as given.
    pub(crate) fn are_as_given(&self) -> bool {
        self.shift.is_empty() && self.scale.is_empty()
    }

    /// Turns the numbers of a row as given into those of its point. Each is off by two roundings at most.
    pub(crate) fn place(&self, row: usize, numbers: &mut [f32]) {
        match self.scale.get(row) {
            Some(&scale) if (scale as f32).is_normal() => {
                let scale = scale as f32;
                for x in numbers {
                    *x *= scale;
                }
            }
            // Rows as short or as long as f32 can hold, and rows of zeros.
            Some(&scale) => {
                for x in numbers {
                    *x = (f64::from(*x) * scale) as f32;
                }
            }
            None if self.shift.is_empty() => {}
            None => {
                for (x, shift) in numbers.iter_mut().zip(&self.shift) {
                    *x -= shift;
                }
            }
        }
    }

    /// The number that a point has beyond those of its row.
    pub(crate) fn own_number(&self, row: usize) -> f32 {
        f32::from(u8::from(self.scale.get(row) == Some(&0.0)))
    }

    /// Half the squared distance of two rows as given with their scales, in f64 from the differences of
    /// the coordinates: never negative, and exactly 0 for equal rows.
    pub(crate) fn half_square(&self, a: (&[f32], f64), b: (&[f32], f64)) -> f64 {
        let ((a, by_a), (b, by_b)) = (a, b);
        match self.metric {
            Metric::Euclidean => sum_in_lanes(a, b, |a, b| (a - b) * (a - b)) / 2.0,
            Metric::Cosine if (by_a == 0.0) != (by_b == 0.0) => 1.0,
            Metric::Cosine => {
                let term = |a, b| {
                    let apart = a * by_a - b * by_b;
                    apart * apart
                };
                sum_in_lanes(a, b, term) / 2.0
            }
        }
    }

    /// Squared length of the point of a row; for cosine that of the row, as its scale needs it.
    fn square_of(&self, row: &[f32]) -> f64 {
        if self.shift.is_empty() {
            sum_in_lanes(row, row, |a, _| a * a)
        } else {
            // As the points have it: rounded to f32.
            sum_in_lanes(row, &self.shift, |a, b| f64::from((a - b) as f32).powi(2))
        }
    }

    /// What a row of this squared length is multiplied by.
    fn scale_of(&self, square: f64) -> f64 {
        match self.metric {
            Metric::Euclidean => 1.0,
            Metric::Cosine if square == 0.0 => 0.0,
            Metric::Cosine => square.sqrt().recip(),
        }
    }

    fn measure(&mut self, centers: &[usize]) -> Result<Vec<f64>, KCenterError> {
        let (rows, columns) = (self.rows, self.columns());
        let center = |&row: &usize| {
            let given = rows.block(row, 1, &mut Vec::new())?.to_vec();
            let scale = self.scale_of(self.square_of(&given));
            Ok((given, scale))
        };
        let centers: Result<Vec<(Vec<f32>, f64)>, VectorsError> =
            centers.iter().map(center).collect();
        let centers = centers?;
        let (mut squares, mut nearest) = (vec![0.0; rows.len()], vec![f64::INFINITY; rows.len()]);
        let blocks = squares.par_chunks_mut(BLOCK).zip(nearest.par_chunks_mut(BLOCK)).enumerate();
        blocks.try_for_each_init(Vec::new, |scratch, (block, (squares, nearest))| {
            let numbers = rows.block(block * BLOCK, squares.len(), scratch)?;
            let given = numbers.chunks_exact(columns);
            for ((square, nearest), row) in squares.iter_mut().zip(nearest).zip(given) {
                *square = self.square_of(row);
                let row = (row, self.scale_of(*square));
                for (center, scale) in &centers {
                    *nearest = nearest.min(self.half_square(row, (center, *scale)));
                }
            }
            Ok::<(), VectorsError>(())
        })?;
        // Neither squares of finite f32 nor sums of them overflow in f64. Points off the middle might,
        // in f32, but then they are too long.
        for (row, &square) in squares.iter().enumerate() {
            if !square.is_finite() {
                let mut scratch = Vec::new();
                let given = rows.block(row, 1, &mut scratch)?;
                if let Some(column) = given.iter().position(|x| !x.is_finite()) {
                    return Err(KCenterError::NonFinite { row, column, value: given[column] });
                }
            }
            let (norm, limit) = (square.sqrt(), LONGEST);
            if self.metric == Metric::Euclidean && norm > limit {
                return Err(KCenterError::TooLong { row, norm, limit });
            }
        }
        self.squares = squares;
        if self.metric == Metric::Cosine {
            self.scale = self.squares.par_iter().map(|&square| self.scale_of(square)).collect();
            self.squares.fill(1.0);
            self.width += usize::from(self.scale.contains(&0.0));
        }
        Ok(nearest)
    }
}

/// About the mean of the rows if it is farther from the origin than the rows are from it, otherwise
/// nothing. Any value would be right; a good one makes products exact enough to decide by.
fn middle<V: Vectors + ?Sized>(rows: &V) -> Result<Vec<f32>, VectorsError> {
    let mut sums = vec![0.0; rows.width()];
    let (mut square, mut count, mut scratch) = (0.0, 0.0, Vec::new());
    for row in (0..rows.len()).step_by(rows.len().div_ceil(SAMPLE)) {
        for (sum, &x) in sums.iter_mut().zip(rows.block(row, 1, &mut scratch)?) {
            *sum += f64::from(x);
            square += f64::from(x).powi(2);
        }
        count += 1.0;
    }
    let mean_square: f64 = sums.iter().map(|sum| (sum / count).powi(2)).sum();
    // |mean|² above the mean of |x − mean|² = mean of |x|² − |mean|².
    let far = mean_square.is_finite() && 2.0 * mean_square > square / count;
    Ok(if far { sums.iter().map(|sum| (sum / count) as f32).collect() } else { Vec::new() })
}

/// Sums terms of two rows of the same width in eight running sums: with the widest vector instructions
/// of the processor, and always in the same order.
pub(crate) fn sum_in_lanes(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    Arch::new().dispatch(|| lanes(a, b, term))
}

#[inline(always)]
fn lanes(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    const LANES: usize = 8;
    let term = |a: f32, b: f32| term(f64::from(a), f64::from(b));
    let (heads, tails) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = heads.remainder().iter().zip(tails.remainder());
    let rest: f64 = rest.map(|(&a, &b)| term(a, b)).sum();
    let mut sums = [0.0; LANES];
    for (a, b) in heads.zip(tails) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Checks row numbers: within the rows, and none twice.
pub(crate) fn check_numbers(
    what: &'static str,
    numbers: &[usize],
    rows: usize,
) -> Result<(), KCenterError> {
    if let Some(position) = numbers.iter().position(|&index| index >= rows) {
        return Err(KCenterError::OutOfRange { what, position, index: numbers[position], rows });
    }
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(KCenterError::Twice { what, index: pair[0] }),
        None => Ok(()),
    }
}
