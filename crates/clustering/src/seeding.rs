//! First centroids: greedy k-means++.
//!
//! D. Arthur, S. Vassilvitskii: k-means++, the advantages of careful seeding (SODA 2007). The first
//! centroid is a row drawn uniformly, each further one a row drawn in proportion to its squared
//! distance from the nearest centroid so far. Greedy: of 2 + ⌊ln k⌋ rows drawn so, the one that lowers
//! the sum of these squared distances most is taken.

use rayon::prelude::*;
use tamis_artifact::Random;
use tamis_selection::vectors::ndarray::linalg::general_mat_mul;
use tamis_selection::vectors::ndarray::{Array2, ArrayView2, s};

use crate::ClusteringError;
use crate::assign::dot_error;
use crate::points::{in_one_piece, squared_distance, squared_length};
use crate::rows::{BLOCK, Rows, Scratch, matrix};

/// k rows to begin with, in the coordinates worked in.
pub(crate) fn plus_plus(
    rows: &Rows<'_>,
    k: usize,
    random: &mut Random,
) -> Result<Array2<f32>, ClusteringError> {
    let mut scratch = Scratch::default();
    let trials = 2 + (k as f64).ln() as usize;
    let mut nearest = vec![f64::INFINITY; rows.len()];
    let mut lowered = vec![0.0; rows.len() * trials];
    let mut centroids = Array2::zeros((k, rows.columns()));
    for mut centroid in centroids.rows_mut() {
        // Uniform for the first centroid, and when there are no more different rows.
        let candidates =
            random.weighted(&nearest, trials).unwrap_or_else(|| vec![random.below(rows.len())]);
        let mut points = Array2::zeros((candidates.len(), rows.columns()));
        for (&row, mut point) in candidates.iter().zip(points.rows_mut()) {
            let placed = rows.placed(row..row + 1, &mut scratch)?;
            point.iter_mut().zip(placed).for_each(|(to, from)| *to = *from);
        }
        let lowered = &mut lowered[..rows.len() * candidates.len()];
        let sums = lower(rows, points.view(), &nearest, lowered)?;
        let best = (1..sums.len()).fold(0, |best, t| if sums[t] < sums[best] { t } else { best });
        let columns = lowered.chunks_exact(candidates.len());
        nearest.iter_mut().zip(columns).for_each(|(nearest, lowered)| *nearest = lowered[best]);
        centroid.assign(&points.row(best));
    }
    Ok(centroids)
}

/// For every row and candidate, what the squared distance from the nearest centroid would be if the
/// candidate were one: `lowered` is (rows, candidates). Returns its sum for each candidate.
fn lower(
    rows: &Rows<'_>,
    candidates: ArrayView2<'_, f32>,
    nearest: &[f64],
    lowered: &mut [f64],
) -> Result<Vec<f64>, ClusteringError> {
    let (count, columns) = candidates.dim();
    let squares: Vec<f64> =
        candidates.rows().into_iter().map(|row| squared_length(&in_one_piece(row))).collect();
    let scratch = || (Scratch::default(), Array2::zeros((BLOCK, count)));
    let blocks = lowered.par_chunks_mut(BLOCK * count).zip(nearest.par_chunks(BLOCK));
    let lower = |(scratch, dots): &mut (Scratch, Array2<f32>),
                 (block, (lowered, nearest)): (usize, (&mut [f64], &[f64]))| {
        let (first, mut sums) = (block * BLOCK, vec![0.0; count]);
        for piece in rows.pieces(first..first + nearest.len()) {
            let points = rows.placed(piece.clone(), scratch)?;
            let points = matrix(points, piece.len(), columns)?;
            let mut dots = dots.slice_mut(s![..piece.len(), ..]);
            general_mat_mul(1.0, &points, &candidates.t(), 0.0, &mut dots);
            for (at, row) in piece.enumerate() {
                let (square, place) = (rows.squared_lengths[row], row - first);
                for t in 0..count {
                    let both = square + squares[t];
                    let mut distance = both - 2.0 * f64::from(dots[[at, t]]);
                    // So close that rounding could be all of it, or make it negative.
                    if distance <= 4.0 * dot_error(columns) * both {
                        distance = squared_distance(
                            &in_one_piece(points.row(at)),
                            &in_one_piece(candidates.row(t)),
                        );
                    }
                    let lower = distance.min(nearest[place]);
                    lowered[place * count + t] = lower;
                    sums[t] += lower;
                }
            }
        }
        Ok(sums)
    };
    let sums: Result<Vec<Vec<f64>>, ClusteringError> =
        blocks.enumerate().map_init(scratch, lower).collect();
    let sums = sums?;
    let total = |t: usize| sums.iter().map(|sums| sums[t]).sum();
    Ok((0..count).map(total).collect())
}
