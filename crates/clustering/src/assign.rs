//! Which centroid is nearest: by blocked matrix products, decided exactly where those cannot tell.

use rayon::prelude::*;
use tamis_selection::vectors::ndarray::linalg::general_mat_mul;
use tamis_selection::vectors::ndarray::{Array1, Array2, ArrayView2, ArrayViewMut1, Zip, s};

use crate::ClusteringError;
use crate::points::{in_one_piece, squared_distance, squared_length};
use crate::rows::{BLOCK, Rows, Scratch, matrix};

/// Half the distance from 1 to the next f32: the greatest relative error of one operation.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

/// Most that a dot product of this many f32 terms, and the few operations around it, can be off: as a
/// share of |x|·|c|. Holds for any order of the additions.
pub(crate) fn dot_error(columns: usize) -> f64 {
    (columns + 8) as f64 * ROUNDING
}

/// Labels every row with its nearest centroid, the first of several equally near ones.
pub(crate) fn assign(
    rows: &Rows<'_>,
    centroids: ArrayView2<'_, f32>,
    labels: &mut [usize],
) -> Result<(), ClusteringError> {
    let (k, columns) = centroids.dim();
    let nearest = Nearest::new(centroids);
    let scratch = || (Scratch::default(), Array2::zeros((BLOCK, k)));
    labels.par_chunks_mut(BLOCK).enumerate().try_for_each_init(
        scratch,
        |(scratch, dots), (block, labels)| {
            let first = block * BLOCK;
            for piece in rows.pieces(first..first + labels.len()) {
                let labels = &mut labels[piece.start - first..piece.end - first];
                let points = rows.placed(piece.clone(), scratch)?;
                let points = matrix(points, piece.len(), columns)?;
                let mut dots = dots.slice_mut(s![..piece.len(), ..]);
                general_mat_mul(1.0, &points, &centroids.t(), 0.0, &mut dots);
                let each = points.rows().into_iter().zip(&rows.squared_lengths[piece]);
                for (label, ((point, square), dots)) in
                    labels.iter_mut().zip(each.zip(dots.rows_mut()))
                {
                    *label = nearest.label(&in_one_piece(point), square.sqrt(), dots);
                }
            }
            Ok(())
        },
    )
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
        let squares: Vec<f64> =
            centroids.rows().into_iter().map(|row| squared_length(&in_one_piece(row))).collect();
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
) -> Result<Vec<f64>, ClusteringError> {
    let mut distances = vec![0.0; labels.len()];
    let blocks = distances.par_chunks_mut(BLOCK).zip(labels.par_chunks(BLOCK)).enumerate();
    blocks.try_for_each_init(Scratch::default, |scratch, (block, (distances, labels))| {
        let first = block * BLOCK;
        for piece in rows.pieces(first..first + labels.len()) {
            let points = rows.placed(piece.clone(), scratch)?.chunks_exact(rows.columns());
            for (row, point) in piece.zip(points) {
                let centroid = centroids.row(labels[row - first]);
                distances[row - first] = squared_distance(point, &in_one_piece(centroid));
            }
        }
        Ok::<(), ClusteringError>(())
    })?;
    Ok(distances)
}
