//! Which centroid is nearest: by blocked matrix products, decided exactly where those cannot tell.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, Zip, s};
use rayon::prelude::*;

use crate::points::{in_one_piece, squared_distance, squared_length};
use crate::rows::{BLOCK, Rows};

/// Half the distance from 1 to the next f32: the greatest relative error of one operation.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

/// Most that a dot product of this many f32 terms, and the few operations around it, can be off: as a
/// share of |x|·|c|. Holds for any order of the additions.
pub(crate) fn dot_error(columns: usize) -> f64 {
    (columns + 8) as f64 * ROUNDING
}

/// Labels every row with its nearest centroid, the first of several equally near ones.
pub(crate) fn assign(rows: &Rows<'_>, centroids: ArrayView2<'_, f32>, labels: &mut [usize]) {
    let (k, columns) = centroids.dim();
    let nearest = Nearest::new(centroids);
    let scratch = || (Array2::zeros((BLOCK, columns)), Array2::zeros((BLOCK, k)));
    labels.par_chunks_mut(BLOCK).enumerate().for_each_init(
        scratch,
        |(points, dots), (block, labels)| {
            let (first, count) = (block * BLOCK, labels.len());
            let points = rows.block(first, count, points);
            let mut dots = dots.slice_mut(s![..count, ..]);
            general_mat_mul(1.0, &points, &centroids.t(), 0.0, &mut dots);
            let lengths = &rows.squared_lengths[first..first + count];
            let each = points.rows().into_iter().zip(lengths).zip(dots.rows_mut());
            for (label, ((point, square), dots)) in labels.iter_mut().zip(each) {
                *label = nearest.label(&in_one_piece(point), square.sqrt(), dots);
            }
        },
    );
}

/// What deciding for the nearest centroid needs to know of them.
struct Nearest<'a> {
    centroids: ArrayView2<'a, f32>,
    /// Half their squared lengths.
    half_squares: Array1<f32>,
    longest: f64,
}

impl<'a> Nearest<'a> {
    fn new(centroids: ArrayView2<'a, f32>) -> Self {
        let squares: Vec<f64> = centroids.rows().into_iter().map(squared_length).collect();
        Self {
            centroids,
            half_squares: squares.iter().map(|&square| (square / 2.0) as f32).collect(),
            longest: squares.iter().copied().fold(0.0, f64::max).sqrt(),
        }
    }

    /// The nearest centroid of a point x of this length, given all x·c.
    ///
    /// ½|x − c|² = ½|x|² + (½|c|² − x·c): the bracket is the score of a centroid, the lowest wins.
    fn label(&self, point: &[f32], length: f64, dots: ArrayViewMut1<'_, f32>) -> usize {
        let mut scores = dots;
        Zip::from(&mut scores).and(&self.half_squares).for_each(|dot, half| *dot = half - *dot);
        let scores = in_one_piece(scores.view());
        let best = scores.iter().copied().fold(f32::INFINITY, f32::min);

        let error = dot_error(point.len()) * (length + self.longest) * self.longest
            + point.len() as f64 * f64::from(f32::MIN_POSITIVE);
        // Two scores are each off by at most the error, so beyond twice that a centroid is farther.
        let limit = f64::from(best) + 2.0 * error;
        let may_be_nearest = |&j: &usize| f64::from(scores[j]) <= limit;
        let mut close = (0..scores.len()).filter(may_be_nearest);
        let first = close.next().unwrap_or(0);
        let mut rest = close.peekable();
        if rest.peek().is_none() {
            return first;
        }
        let exact = |j: usize| squared_distance(point, &in_one_piece(self.centroids.row(j)));
        let mut nearest = (first, exact(first));
        for j in rest {
            let distance = exact(j);
            if distance < nearest.1 {
                nearest = (j, distance);
            }
        }
        nearest.0
    }
}

/// Squared distance of every row to the centroid it is labelled with, in f64.
pub(crate) fn own_distances(
    rows: &Rows<'_>,
    centroids: ArrayView2<'_, f32>,
    labels: &[usize],
) -> Vec<f64> {
    let distance = |point: &mut Array1<f32>, (row, &label): (usize, &usize)| {
        rows.copy_row(row, point.view_mut());
        squared_distance(&in_one_piece(point.view()), &in_one_piece(centroids.row(label)))
    };
    let scratch = || Array1::zeros(rows.columns());
    labels.par_iter().enumerate().map_init(scratch, distance).collect()
}
