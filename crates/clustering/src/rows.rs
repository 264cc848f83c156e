//! The rows as the algorithm sees them: checked, near the origin (Euclidean) or of length one (cosine).
//!
//! They are read a few at a time, as often as they are needed; only some numbers a row are kept.

use std::ops::Range;

use rayon::prelude::*;
use tamis_selection::Vectors;
use tamis_selection::vectors::ndarray::{Array2, ArrayView2};

use crate::points::{in_one_piece, squared_length};
use crate::{ClusteringError, Metric};

/// Rows per task: enough to keep the kernel of a matrix product busy, few enough for the cache.
pub(crate) const BLOCK: usize = 256;

/// Rows per partial sum. Sums are formed segment by segment and merged in order, so that they do not
/// depend on the number of threads.
pub(crate) const SEGMENT: usize = 2048;

/// Numbers that a task reads at a time at most, unless a single row has more.
const PIECE: usize = 1 << 22;

/// Greatest length of a row: the square of twice as much is finite in f32.
const LONGEST: f64 = 4e18;

/// What the rows are called in errors.
const ROWS: &str = "rows";

/// Room for some rows, as given and in the coordinates worked in.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    given: Vec<f32>,
    placed: Vec<f32>,
}

/// Rows with what turns them into the coordinates the algorithm works in.
pub(crate) struct Rows<'a> {
    vectors: &'a dyn Vectors,
    pub(crate) metric: Metric,
    /// Subtracted from every row: their mean if they lie farther from the origin than from it (the
    /// rounding of products grows with the distance from the origin), otherwise zero.
    shift: Vec<f32>,
    /// One over the length of each row, for cosine only.
    scale: Vec<f64>,
    /// Whether neither changes anything.
    as_given: bool,
    /// Squared length of every row in the coordinates worked in.
    pub(crate) squared_lengths: Vec<f64>,
    /// Mean over the columns of the variance within a column, of the coordinates worked in.
    pub(crate) mean_variance: f64,
}

impl<'a> Rows<'a> {
    /// Checks the rows and measures their mean or lengths: reads them twice, or three times if they lie off
    /// the origin.
    pub(crate) fn new(vectors: &'a dyn Vectors, metric: Metric) -> Result<Self, ClusteringError> {
        let width = vectors.width();
        if width == 0 {
            return Err(ClusteringError::NoColumns { rows: vectors.len() });
        }
        let mut rows = Self {
            vectors,
            metric,
            shift: vec![0.0; width],
            scale: Vec::new(),
            as_given: metric == Metric::Euclidean,
            squared_lengths: Vec::new(),
            mean_variance: 0.0,
        };
        let mean = rows.look()?;
        let variance = rows.measure(&mean)?;
        rows.mean_variance = variance / (rows.len() * width) as f64;
        let square: f64 = mean.iter().map(|x| x * x).sum();
        if metric == Metric::Euclidean && square > rows.mean_variance * width as f64 {
            rows.shift = mean.iter().map(|&mean| mean as f32).collect();
            rows.as_given = false;
            rows.measure(&mean)?;
        }
        check_lengths(ROWS, &rows.squared_lengths)?;
        Ok(rows)
    }

    pub(crate) fn len(&self) -> usize {
        self.vectors.len()
    }

    pub(crate) fn columns(&self) -> usize {
        self.vectors.width()
    }

    /// Checks initial centroids and brings them into the coordinates worked in.
    pub(crate) fn place(&self, given: ArrayView2<'_, f32>) -> Result<Array2<f32>, ClusteringError> {
        const WHAT: &str = "initial centroids";
        let mut placed = given.to_owned();
        let mut squares = Vec::with_capacity(placed.nrows());
        for (row, numbers) in given.rows().into_iter().enumerate() {
            check_finite(WHAT, row, &in_one_piece(numbers))?;
        }
        for (row, mut numbers) in placed.rows_mut().into_iter().enumerate() {
            match self.metric {
                Metric::Euclidean => {
                    numbers.iter_mut().zip(&self.shift).for_each(|(x, shift)| *x -= shift);
                }
                Metric::Cosine => {
                    let length = length(&in_one_piece(numbers.view()));
                    if length == 0.0 {
                        return Err(ClusteringError::ZeroRow { what: WHAT, row });
                    }
                    let scale = length.recip();
                    numbers.iter_mut().for_each(|x| *x = scaled(*x, scale));
                }
            }
            squares.push(squared_length(&in_one_piece(numbers.view())));
        }
        if self.metric == Metric::Euclidean {
            check_lengths(WHAT, &squares)?;
        }
        Ok(placed)
    }

    /// Brings centroids back into the coordinates of the rows as given (for cosine: of length one).
    pub(crate) fn restore(&self, mut centroids: Array2<f32>) -> Array2<f32> {
        for mut centroid in centroids.rows_mut() {
            centroid.iter_mut().zip(&self.shift).for_each(|(x, shift)| *x += shift);
        }
        centroids
    }

    /// Rows as given.
    pub(crate) fn given<'s>(
        &'s self,
        rows: Range<usize>,
        scratch: &'s mut Vec<f32>,
    ) -> Result<&'s [f32], ClusteringError> {
        Ok(self.vectors.block(rows.start, rows.len(), scratch)?)
    }

    /// Rows in the coordinates worked in, one after the other.
    pub(crate) fn placed<'s>(
        &'s self,
        rows: Range<usize>,
        scratch: &'s mut Scratch,
    ) -> Result<&'s [f32], ClusteringError> {
        let Scratch { given, placed } = scratch;
        let numbers = self.given(rows.clone(), given)?;
        if self.as_given {
            return Ok(numbers);
        }
        placed.clear();
        placed.reserve(numbers.len());
        for (row, numbers) in rows.zip(numbers.chunks_exact(self.columns())) {
            match self.scale.get(row) {
                Some(&scale) => placed.extend(numbers.iter().map(|&x| scaled(x, scale))),
                None => placed.extend(numbers.iter().zip(&self.shift).map(|(x, shift)| x - shift)),
            }
        }
        Ok(placed)
    }

    /// These rows, divided into pieces of so many rows that few numbers are read at a time.
    pub(crate) fn pieces(&self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let at_once = (PIECE / self.columns()).clamp(1, BLOCK);
        rows.clone().step_by(at_once).map(move |first| first..rows.end.min(first + at_once))
    }

    /// Adds a row as given to a sum; scaled, but not shifted.
    pub(crate) fn add(&self, sum: &mut [f64], row: usize, numbers: &[f32]) {
        match self.scale.get(row) {
            Some(&scale) => {
                let terms = sum.iter_mut().zip(numbers);
                terms.for_each(|(sum, &x)| *sum += f64::from(scaled(x, scale)));
            }
            None => sum.iter_mut().zip(numbers).for_each(|(sum, &x)| *sum += f64::from(x)),
        }
    }

    /// Mean of rows in the coordinates worked in, of the sum that [`add`](Self::add) made of them.
    pub(crate) fn mean(&self, total: &[f64], count: usize) -> Vec<f64> {
        let share = 1.0 / count as f64;
        total
            .iter()
            .zip(&self.shift)
            .map(|(total, &shift)| total * share - f64::from(shift))
            .collect()
    }

    /// Checks the numbers, takes down the lengths that cosine needs, and gives the mean of all rows.
    fn look(&mut self) -> Result<Vec<f64>, ClusteringError> {
        let (width, mut zero) = (self.columns(), None);
        let mut total = vec![0.0; width];
        let segments = segments(self.len());
        // Some segments at a time: the sums of all of them would grow with the rows.
        for wave in segments.chunks(2 * rayon::current_num_threads()) {
            let found: Vec<_> = wave.par_iter().map(|segment| self.look_at(segment)).collect();
            for found in found {
                let (sum, scale) = found?;
                total.iter_mut().zip(&sum).for_each(|(total, sum)| *total += sum);
                let first = self.scale.len();
                zero =
                    zero.or_else(|| scale.iter().position(|x| x.is_infinite()).map(|n| first + n));
                self.scale.extend(scale);
            }
        }
        match zero {
            Some(row) => Err(ClusteringError::ZeroRow { what: ROWS, row }),
            None => Ok(self.mean(&total, self.len())),
        }
    }

    /// The sum of a segment, and for cosine one over the length of each of its rows.
    fn look_at(&self, segment: &Range<usize>) -> Result<(Vec<f64>, Vec<f64>), ClusteringError> {
        let (mut sum, mut scales) = (vec![0.0; self.columns()], Vec::new());
        let mut scratch = Vec::new();
        for piece in self.pieces(segment.clone()) {
            let numbers = self.given(piece.clone(), &mut scratch)?;
            for (row, numbers) in piece.zip(numbers.chunks_exact(self.columns())) {
                check_finite(ROWS, row, numbers)?;
                match self.metric {
                    Metric::Euclidean => self.add(&mut sum, row, numbers),
                    Metric::Cosine => {
                        let scale = length(numbers).recip();
                        let terms = sum.iter_mut().zip(numbers);
                        terms.for_each(|(sum, &x)| *sum += f64::from(scaled(x, scale)));
                        scales.push(scale);
                    }
                }
            }
        }
        Ok((sum, scales))
    }

    /// Takes down the squared lengths, and gives the sum over all numbers of the squared distance from the
    /// mean of their column.
    fn measure(&mut self, mean: &[f64]) -> Result<f64, ClusteringError> {
        let mut squares = vec![0.0; self.len()];
        let from_mean = |scratch: &mut Scratch, (segment, squares): (usize, &mut [f64])| {
            let (first, mut sum) = (segment * SEGMENT, 0.0);
            for piece in self.pieces(first..first + squares.len()) {
                let numbers = self.placed(piece.clone(), scratch)?;
                for (row, point) in piece.zip(numbers.chunks_exact(self.columns())) {
                    squares[row - first] = squared_length(point);
                    let terms = point.iter().zip(mean);
                    sum += terms.map(|(&x, mean)| (f64::from(x) - mean).powi(2)).sum::<f64>();
                }
            }
            Ok(sum)
        };
        let segments = squares.par_chunks_mut(SEGMENT).enumerate();
        let sums: Result<Vec<f64>, ClusteringError> =
            segments.map_init(Scratch::default, from_mean).collect();
        self.squared_lengths = squares;
        Ok(sums?.iter().sum())
    }
}

/// Rows one after the other as a matrix; refuses a source that gave another number of numbers.
pub(crate) fn matrix(
    numbers: &[f32],
    rows: usize,
    columns: usize,
) -> Result<ArrayView2<'_, f32>, ClusteringError> {
    let matrix = ArrayView2::from_shape((rows, columns), numbers);
    matrix.map_err(|error| tamis_selection::vectors::VectorsError::new(error).into())
}

fn segments(rows: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(SEGMENT).map(|start| start..rows.min(start + SEGMENT)).collect()
}

/// A coordinate of a row of length one. In f64 on the way: rows as long as f32 can hold stay exact.
fn scaled(x: f32, scale: f64) -> f32 {
    (f64::from(x) * scale) as f32
}

fn length(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

/// Names the first value of a row that is not finite.
fn check_finite(what: &'static str, row: usize, numbers: &[f32]) -> Result<(), ClusteringError> {
    match numbers.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(column) => {
            Err(ClusteringError::NonFinite { what, row, column, value: numbers[column] })
        }
    }
}

/// Names the first point whose squares would overflow.
fn check_lengths(what: &'static str, squared_lengths: &[f64]) -> Result<(), ClusteringError> {
    let limit = LONGEST;
    match squared_lengths.iter().position(|&square| square.sqrt() > limit) {
        None => Ok(()),
        Some(row) => {
            let norm = squared_lengths[row].sqrt();
            Err(ClusteringError::TooLong { what, row, norm, limit })
        }
    }
}
