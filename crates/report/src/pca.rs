//! Two principal components of many long rows.
//!
//! Neither the covariance (d × d) nor the Gram matrix (n × n) is formed. A block of [`BLOCK`]
//! vectors is multiplied by Xᵀ X, a chunk of rows at a time, and orthonormalised, over and over
//! (subspace iteration); the Rayleigh–Ritz vectors of the block converge to the principal axes at the
//! rate λ₉ / λ₂ per pass. See Halko, Martinsson and Tropp, *Finding structure with randomness*
//! (arXiv 0909.4061), for why a few more vectors than asked for make this fast.

use nalgebra::{DMatrix, SymmetricEigen};
use rayon::prelude::*;
use tamis_selection::Vectors;

use crate::ReportError;
use crate::mix::uniform;

/// Vectors in the block: the two wanted and six that speed up convergence.
const BLOCK: usize = 8;
/// Partial sums. Their number is fixed, so that the result does not depend on the threads.
const CHUNKS: usize = 32;
/// The axes are accepted once Xᵀ X moves them by less than this, relative to the largest
/// eigenvalue: far below what a plot can show.
const TOLERANCE: f64 = 1e-7;
/// Passes at most, for matrices whose eigenvalues lie close together: any rotation of the plane
/// then shows about the same.
const MOST_PASSES: usize = 60;
/// Passes at least, however large the matrix.
const FEWEST_PASSES: usize = 6;
/// Multiply-adds after which no pass beyond the fewest begins: some seconds on two cores.
const WORK: f64 = 2e10;

/// Numbers that a chunk reads at a time at most, unless a single row has more.
const PIECE: usize = 1 << 18;

type Block = Vec<[f64; BLOCK]>;

/// Rows seen along their two principal axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// Coordinates of each row; the mean row is the origin.
    pub points: Vec<[f64; 2]>,
    /// Share of the total variance along each axis, in 0..=1.
    pub explained: [f64; 2],
}

/// Coordinates of n rows along their first two principal axes: the points of
/// [`principal_plane`].
pub fn pca_2d(rows: &dyn Vectors) -> Result<Vec<[f64; 2]>, ReportError> {
    Ok(principal_plane(rows)?.points)
}

/// Principal component analysis to two dimensions.
///
/// The rows are centred, not scaled. They are read once a pass, some at a time. Memory beside them: 16 bytes a
/// row and about 2 KiB per column.
/// Computed in f64. The sign of each axis is such that its entry of largest size (the first of them)
/// is positive. Deterministic, whatever the number of threads. Where the second and third component
/// are about equally large, so are the views, and one of them is returned.
///
/// # Errors
/// [`ReportError::Mismatch`] for rows without entries, [`ReportError::NonFiniteEntry`] for a NaN or infinite
/// entry, and [`ReportError::Vectors`] for rows that cannot be read.
pub fn principal_plane(rows: &dyn Vectors) -> Result<Plane, ReportError> {
    if rows.width() == 0 && !rows.is_empty() {
        return Err(ReportError::Mismatch {
            what: "matrix for principal components".to_owned(),
            found: format!("{} rows without entries", rows.len()),
            expected: "rows of at least one entry".to_owned(),
        });
    }
    let data = Rows::new(rows)?;
    let total = data.variance()?;
    if total <= 0.0 {
        // No rows, or all of them equal.
        return Ok(Plane { points: vec![[0.0; 2]; rows.len()], explained: [0.0; 2] });
    }
    let (axes, values) = data.axes()?;
    Ok(Plane {
        points: data.project(&axes)?,
        explained: values.map(|value| (value / total).clamp(0.0, 1.0)),
    })
}

struct Rows<'a> {
    vectors: &'a dyn Vectors,
    mean: Vec<f64>,
}

impl<'a> Rows<'a> {
    fn new(vectors: &'a dyn Vectors) -> Result<Self, ReportError> {
        let (width, count) = (vectors.width(), vectors.len());
        let mut data = Self { vectors, mean: vec![0.0; width] };
        data.mean = data.sum(vec![0.0; width], |sum, number, row| {
            if let Some(column) = row.iter().position(|v| !v.is_finite()) {
                let value = row[column];
                return Err(ReportError::NonFiniteEntry { row: number, column, value });
            }
            for (entry, value) in sum.iter_mut().zip(row) {
                *entry += f64::from(*value) / count as f64;
            }
            Ok(())
        })?;
        Ok(data)
    }

    /// Reads the rows in order, chunk by chunk in parallel, and gives what becomes of each chunk.
    fn chunks<T: Send>(
        &self,
        zero: impl Fn() -> T + Sync,
        add: impl Fn(&mut T, usize, &[f32]) -> Result<(), ReportError> + Sync,
    ) -> Result<Vec<T>, ReportError> {
        let (width, count) = (self.vectors.width().max(1), self.vectors.len());
        let chunk = count.div_ceil(CHUNKS).max(1);
        let at_once = (PIECE / width).clamp(1, chunk);
        let starts: Vec<usize> = (0..count).step_by(chunk).collect();
        let parts: Vec<Result<T, ReportError>> = starts
            .par_iter()
            .map(|&start| {
                let (mut part, mut scratch) = (zero(), Vec::new());
                let end = count.min(start + chunk);
                for first in (start..end).step_by(at_once) {
                    let rows = self.vectors.block(first, at_once.min(end - first), &mut scratch)?;
                    for (number, row) in (first..).zip(rows.chunks_exact(width)) {
                        add(&mut part, number, row)?;
                    }
                }
                Ok(part)
            })
            .collect();
        // The first error in the order of the rows.
        parts.into_iter().collect()
    }

    /// Folds the rows; the chunks are added in order.
    fn sum<T: Addable>(
        &self,
        zero: T,
        add: impl Fn(&mut T, usize, &[f32]) -> Result<(), ReportError> + Sync,
    ) -> Result<T, ReportError> {
        let parts = self.chunks(|| zero.clone(), add)?;
        let mut total = zero;
        for part in &parts {
            total.add(part);
        }
        Ok(total)
    }

    /// The sum of squared distances from the mean.
    fn variance(&self) -> Result<f64, ReportError> {
        let sum = self.sum(vec![0.0], |sum, _, row| {
            for (value, mean) in row.iter().zip(&self.mean) {
                sum[0] += (f64::from(*value) - mean).powi(2);
            }
            Ok(())
        })?;
        Ok(sum[0])
    }

    /// Xᵀ X B of the centred rows.
    fn multiply(&self, block: &Block) -> Result<Block, ReportError> {
        self.sum(vec![[0.0; BLOCK]; self.vectors.width()], |sum, _, row| {
            let along = self.along(row, block);
            for ((entries, value), mean) in sum.iter_mut().zip(row).zip(&self.mean) {
                let centred = f64::from(*value) - mean;
                for (entry, share) in entries.iter_mut().zip(&along) {
                    *entry += centred * share;
                }
            }
            Ok(())
        })
    }

    /// (x − mean)ᵀ B.
    fn along<const N: usize>(&self, row: &[f32], block: &[[f64; N]]) -> [f64; N] {
        let mut along = [0.0; N];
        for ((value, mean), entries) in row.iter().zip(&self.mean).zip(block) {
            let centred = f64::from(*value) - mean;
            for (sum, entry) in along.iter_mut().zip(entries) {
                *sum += centred * entry;
            }
        }
        along
    }

    /// The first two principal axes (width × 2) and their eigenvalues of Xᵀ X.
    fn axes(&self) -> Result<(Vec<[f64; 2]>, [f64; 2]), ReportError> {
        let entries = self.vectors.len() as f64 * self.vectors.width() as f64;
        let work = entries * 2.0 * BLOCK as f64;
        let passes = (WORK / work) as usize;
        let passes = passes.clamp(FEWEST_PASSES, MOST_PASSES);
        let mut block: Block = (0..self.vectors.width() as u64)
            .map(|row| std::array::from_fn(|j| uniform(j as u64, row)))
            .collect();
        block = orthonormal(&block);
        let mut pass = 0;
        loop {
            let image = self.multiply(&block)?;
            pass += 1;
            let ritz = Ritz::new(&block, &image);
            if pass >= passes || ritz.residual <= TOLERANCE * ritz.values[0] {
                return Ok((ritz.axes, ritz.values));
            }
            block = orthonormal(&image);
        }
    }

    fn project(&self, axes: &[[f64; 2]]) -> Result<Vec<[f64; 2]>, ReportError> {
        let points = self.chunks(Vec::new, |points, _, row| {
            points.push(self.along(row, axes));
            Ok(())
        })?;
        Ok(points.concat())
    }
}

/// The best approximations of eigenvectors inside the block.
struct Ritz {
    axes: Vec<[f64; 2]>,
    values: [f64; 2],
    /// How far the worse of the two is from being an eigenvector: ‖A v − λ v‖.
    residual: f64,
}

impl Ritz {
    /// `image` is A times the orthonormal `block`.
    fn new(block: &Block, image: &Block) -> Self {
        let mut small = DMatrix::<f64>::zeros(BLOCK, BLOCK);
        for (left, right) in block.iter().zip(image) {
            for (i, l) in left.iter().enumerate() {
                for (j, r) in right.iter().enumerate() {
                    small[(i, j)] += l * r;
                }
            }
        }
        // Symmetric but for rounding.
        let small = (&small + small.transpose()) * 0.5;
        let eigen = SymmetricEigen::new(small);
        let mut order: Vec<usize> = (0..BLOCK).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let best = [order[0], order[1]];
        let values = best.map(|i| eigen.eigenvalues[i].max(0.0));
        let combine = |rows: &Block| -> Vec<[f64; 2]> {
            rows.iter()
                .map(|row| {
                    best.map(|i| {
                        let vector = eigen.eigenvectors.column(i);
                        row.iter().zip(vector.iter()).map(|(a, b)| a * b).sum()
                    })
                })
                .collect()
        };
        let mut axes = combine(block);
        let mut squares = [0.0; 2];
        for (image, axis) in combine(image).iter().zip(&axes) {
            for side in 0..2 {
                squares[side] += (image[side] - values[side] * axis[side]).powi(2);
            }
        }
        for side in 0..2 {
            fix_sign(&mut axes, side);
        }
        Self { axes, values, residual: squares[0].max(squares[1]).sqrt() }
    }
}

/// Turns an axis so that its largest entry, the first if there are several, is positive.
fn fix_sign(axes: &mut [[f64; 2]], side: usize) {
    let mut largest: f64 = 0.0;
    for axis in axes.iter() {
        // A hair's breadth, so that rounding does not decide between equal entries.
        if axis[side].abs() > largest.abs() * (1.0 + 1e-9) {
            largest = axis[side];
        }
    }
    if largest < 0.0 {
        for axis in axes {
            axis[side] = -axis[side];
        }
    }
}

/// An orthonormal basis of the block's columns; rows narrower than the block leave zero columns.
fn orthonormal(block: &Block) -> Block {
    let matrix = DMatrix::from_fn(block.len(), BLOCK, |i, j| block[i][j]);
    // Householder: orthonormal even if the columns are not independent.
    let basis = matrix.qr().q();
    (0..block.len())
        .map(|i| std::array::from_fn(|j| if j < basis.ncols() { basis[(i, j)] } else { 0.0 }))
        .collect()
}

/// What partial sums are made of.
trait Addable: Clone + Send + Sync {
    fn add(&mut self, other: &Self);
}

impl Addable for Vec<f64> {
    fn add(&mut self, other: &Self) {
        for (a, b) in self.iter_mut().zip(other) {
            *a += b;
        }
    }
}

impl Addable for Block {
    fn add(&mut self, other: &Self) {
        for (left, right) in self.iter_mut().zip(other) {
            for (a, b) in left.iter_mut().zip(right) {
                *a += b;
            }
        }
    }
}
