//! First centroids: greedy k-means++.
//!
//! D. Arthur, S. Vassilvitskii: k-means++, the advantages of careful seeding (SODA 2007). The first
//! centroid is a row drawn uniformly, each further one a row drawn in proportion to its squared
//! distance from the nearest centroid so far. Greedy: of 2 + ⌊ln k⌋ rows drawn so, the one that lowers
//! the sum of these squared distances most is taken.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;
use tamis_artifact::Random;

use crate::assign::dot_error;
use crate::points::{in_one_piece, squared_distance, squared_length};
use crate::rows::{BLOCK, Rows};

/// k rows to begin with, in the coordinates worked in.
pub(crate) fn plus_plus(rows: &Rows<'_>, k: usize, random: &mut Random) -> Array2<f32> {
    let trials = 2 + (k as f64).ln() as usize;
    let mut nearest = vec![f64::INFINITY; rows.len()];
    let mut lowered = vec![0.0; rows.len() * trials];
    let mut centroids = Array2::zeros((k, rows.columns()));
    for mut centroid in centroids.rows_mut() {
        // Uniform for the first centroid, and when there are no more different rows.
        let candidates =
            random.weighted(&nearest, trials).unwrap_or_else(|| vec![random.below(rows.len())]);
        let mut points = Array2::zeros((candidates.len(), rows.columns()));
        for (&row, point) in candidates.iter().zip(points.rows_mut()) {
            rows.copy_row(row, point);
        }
        let lowered = &mut lowered[..rows.len() * candidates.len()];
        let sums = lower(rows, points.view(), &nearest, lowered);
        let best = (1..sums.len()).fold(0, |best, t| if sums[t] < sums[best] { t } else { best });
        let columns = lowered.chunks_exact(candidates.len());
        nearest.iter_mut().zip(columns).for_each(|(nearest, lowered)| *nearest = lowered[best]);
        centroid.assign(&points.row(best));
    }
    centroids
}

/// For every row and candidate, what the squared distance from the nearest centroid would be if the
/// candidate were one: `lowered` is (rows, candidates). Returns its sum for each candidate.
fn lower(
    rows: &Rows<'_>,
    candidates: ArrayView2<'_, f32>,
    nearest: &[f64],
    lowered: &mut [f64],
) -> Vec<f64> {
    let (count, columns) = candidates.dim();
    let squares: Vec<f64> = candidates.rows().into_iter().map(squared_length).collect();
    let scratch = || (Array2::zeros((BLOCK, columns)), Array2::zeros((BLOCK, count)));
    let blocks = lowered.par_chunks_mut(BLOCK * count).zip(nearest.par_chunks(BLOCK));
    let sums: Vec<Vec<f64>> = blocks
        .enumerate()
        .map_init(scratch, |(points, dots), (block, (lowered, nearest))| {
            let points = rows.block(block * BLOCK, nearest.len(), points);
            let mut dots = dots.slice_mut(s![..nearest.len(), ..]);
            general_mat_mul(1.0, &points, &candidates.t(), 0.0, &mut dots);
            let mut sums = vec![0.0; count];
            let each = nearest.iter().zip(lowered.chunks_exact_mut(count));
            for (row, (&nearest, lowered)) in each.enumerate() {
                let square = rows.squared_lengths[block * BLOCK + row];
                for t in 0..count {
                    let both = square + squares[t];
                    let mut distance = both - 2.0 * f64::from(dots[[row, t]]);
                    // So close that rounding could be all of it, or make it negative.
                    if distance <= 4.0 * dot_error(columns) * both {
                        distance = squared_distance(
                            &in_one_piece(points.row(row)),
                            &in_one_piece(candidates.row(t)),
                        );
                    }
                    lowered[t] = distance.min(nearest);
                    sums[t] += lowered[t];
                }
            }
            sums
        })
        .collect();
    let total = |t: usize| sums.iter().map(|sums| sums[t]).sum();
    (0..count).map(total).collect()
}
