//! The rows as the algorithm sees them: checked, near the origin (Euclidean) or of length one (cosine).

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, Zip, s};
use rayon::prelude::*;

use crate::points::{in_one_piece, squared_length};
use crate::{ClusteringError, Metric};

/// Rows per block of a matrix product: enough to keep the kernel busy, few enough for the cache.
pub(crate) const BLOCK: usize = 256;

/// Rows per partial sum. Sums are formed segment by segment and merged in order, so that they do not
/// depend on the number of threads.
pub(crate) const SEGMENT: usize = 2048;

/// Greatest length of a row: the square of twice as much is finite in f32.
const LONGEST: f64 = 4e18;

/// Rows with what turns them into the coordinates the algorithm works in.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    view: ArrayView2<'a, f32>,
    pub(crate) metric: Metric,
    /// Subtracted from every row: their mean if they lie farther from the origin than from it (the
    /// rounding of products grows with the distance from the origin), otherwise zero.
    shift: Array1<f32>,
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
    /// Checks the rows and measures their mean or lengths.
    pub(crate) fn new(view: ArrayView2<'a, f32>, metric: Metric) -> Result<Self, ClusteringError> {
        if view.ncols() == 0 {
            return Err(ClusteringError::NoColumns { rows: view.nrows() });
        }
        check_finite(view, "rows")?;
        let mut rows = Self {
            view,
            metric,
            shift: Array1::zeros(view.ncols()),
            scale: Vec::new(),
            as_given: metric == Metric::Euclidean,
            squared_lengths: Vec::new(),
            mean_variance: 0.0,
        };
        if metric == Metric::Cosine {
            rows.scale = inverse_lengths(view, "rows")?;
        }
        let mean = rows.mean_of_all();
        rows.mean_variance = rows.variance(&mean);
        let square: f64 = mean.iter().map(|x| x * x).sum();
        if metric == Metric::Euclidean && square > rows.mean_variance * view.ncols() as f64 {
            rows.shift = mean.iter().map(|&mean| mean as f32).collect();
            rows.as_given = false;
        }
        rows.squared_lengths = rows.measure_lengths();
        check_lengths("rows", &rows.squared_lengths)?;
        Ok(rows)
    }

    pub(crate) fn len(&self) -> usize {
        self.view.nrows()
    }

    pub(crate) fn columns(&self) -> usize {
        self.view.ncols()
    }

    /// Checks initial centroids and brings them into the coordinates worked in.
    pub(crate) fn place(&self, given: ArrayView2<'_, f32>) -> Result<Array2<f32>, ClusteringError> {
        const WHAT: &str = "initial centroids";
        check_finite(given, WHAT)?;
        let mut placed = given.to_owned();
        match self.metric {
            Metric::Euclidean => {
                placed -= &self.shift;
                let squares: Vec<f64> = placed.rows().into_iter().map(squared_length).collect();
                check_lengths(WHAT, &squares)?;
            }
            Metric::Cosine => {
                let scale = inverse_lengths(given, WHAT)?;
                for (mut row, scale) in placed.rows_mut().into_iter().zip(scale) {
                    row.iter_mut().for_each(|x| *x = scaled(*x, scale));
                }
            }
        }
        Ok(placed)
    }

    /// Brings centroids back into the coordinates of the rows as given (for cosine: of length one).
    pub(crate) fn restore(&self, mut centroids: Array2<f32>) -> Array2<f32> {
        centroids += &self.shift;
        centroids
    }

    /// One row in the coordinates worked in; `into` has as many columns.
    pub(crate) fn copy_row(&self, row: usize, into: ArrayViewMut1<'_, f32>) {
        let zip = Zip::from(into).and(self.view.row(row));
        match self.scale.get(row) {
            Some(&scale) => zip.for_each(|into, &x| *into = scaled(x, scale)),
            None => zip.and(&self.shift).for_each(|into, x, shift| *into = x - shift),
        }
    }

    /// `count` rows from `first` on in the coordinates worked in; `scratch` has room for a block.
    pub(crate) fn block<'s>(
        &'s self,
        first: usize,
        count: usize,
        scratch: &'s mut Array2<f32>,
    ) -> ArrayView2<'s, f32> {
        if self.as_given {
            return self.view.slice(s![first..first + count, ..]);
        }
        for (offset, into) in scratch.rows_mut().into_iter().take(count).enumerate() {
            self.copy_row(first + offset, into);
        }
        scratch.slice(s![..count, ..])
    }

    /// Mean of rows in the coordinates worked in, of sums that [`sum`](Self::sum) made of them.
    pub(crate) fn mean<'s>(
        &self,
        sums: impl IntoIterator<Item = &'s Vec<f64>>,
        count: usize,
    ) -> Vec<f64> {
        let mut total = vec![0.0; self.columns()];
        for sum in sums {
            total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum);
        }
        let share = 1.0 / count as f64;
        total
            .iter()
            .zip(&self.shift)
            .map(|(total, &shift)| total * share - f64::from(shift))
            .collect()
    }

    /// Sum of a segment of rows, added up in the order given; scaled, but not shifted.
    pub(crate) fn sum(&self, members: impl IntoIterator<Item = usize>) -> Vec<f64> {
        let mut sum = vec![0.0; self.columns()];
        for row in members {
            let from = in_one_piece(self.view.row(row));
            match self.scale.get(row) {
                Some(&scale) => {
                    let terms = sum.iter_mut().zip(&*from);
                    terms.for_each(|(sum, &x)| *sum += f64::from(scaled(x, scale)));
                }
                None => sum.iter_mut().zip(&*from).for_each(|(sum, &x)| *sum += f64::from(x)),
            }
        }
        sum
    }

    /// The mean of all rows in the coordinates worked in.
    fn mean_of_all(&self) -> Vec<f64> {
        let sums: Vec<_> =
            segments(self.len()).into_par_iter().map(|segment| self.sum(segment)).collect();
        self.mean(&sums, self.len())
    }

    fn measure_lengths(&self) -> Vec<f64> {
        let scratch = || Array1::zeros(self.columns());
        let measure = |point: &mut Array1<f32>, row| {
            self.copy_row(row, point.view_mut());
            squared_length(point.view())
        };
        (0..self.len()).into_par_iter().map_init(scratch, measure).collect()
    }

    /// Mean over the columns of the variance within a column.
    fn variance(&self, mean: &[f64]) -> f64 {
        let from_mean = |segment: Range<usize>| {
            let mut coordinates = Array1::zeros(self.columns());
            let mut sum = 0.0;
            for row in segment {
                self.copy_row(row, coordinates.view_mut());
                let squares = coordinates.iter().zip(mean);
                sum += squares.map(|(&x, mean)| (f64::from(x) - mean).powi(2)).sum::<f64>();
            }
            sum
        };
        let sums: Vec<f64> = segments(self.len()).into_par_iter().map(from_mean).collect();
        sums.iter().sum::<f64>() / (self.len() * self.columns()) as f64
    }
}

fn segments(rows: usize) -> Vec<Range<usize>> {
    (0..rows).step_by(SEGMENT).map(|start| start..rows.min(start + SEGMENT)).collect()
}

/// A coordinate of a row of length one. In f64 on the way: rows as long as f32 can hold stay exact.
fn scaled(x: f32, scale: f64) -> f32 {
    (f64::from(x) * scale) as f32
}

/// Names the first value that is not finite.
fn check_finite(view: ArrayView2<'_, f32>, what: &'static str) -> Result<(), ClusteringError> {
    let bad = |row: usize| {
        let column = in_one_piece(view.row(row)).iter().position(|x| !x.is_finite())?;
        Some((row, column))
    };
    match (0..view.nrows()).into_par_iter().find_map_first(bad) {
        None => Ok(()),
        Some((row, column)) => {
            Err(ClusteringError::NonFinite { what, row, column, value: view[[row, column]] })
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

/// One over the length of every row; names the first that is zero.
fn inverse_lengths(
    view: ArrayView2<'_, f32>,
    what: &'static str,
) -> Result<Vec<f64>, ClusteringError> {
    let length = |row: usize| {
        in_one_piece(view.row(row)).iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
    };
    let lengths: Vec<f64> = (0..view.nrows()).into_par_iter().map(length).collect();
    if let Some(row) = lengths.iter().position(|&length| length == 0.0) {
        return Err(ClusteringError::ZeroRow { what, row });
    }
    Ok(lengths.into_iter().map(f64::recip).collect())
}
