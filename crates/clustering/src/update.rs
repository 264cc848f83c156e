//! New centroids from labels, and what happens to clusters that lost all their rows.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::Metric;
use crate::assign::own_distances;
use crate::rows::{Rows, SEGMENT};

/// What one update did.
pub(crate) struct Update {
    pub(crate) centroids: Array2<f32>,
    /// Sum of the squared movements of the centroids.
    pub(crate) movement: f64,
    /// How many empty clusters took over a row.
    pub(crate) repaired: usize,
}

/// Every centroid becomes the mean of its rows (for cosine: scaled to length one).
///
/// An empty cluster takes over the row that is farthest from its centroid, several one each. If every
/// row lies on its centroid, there are fewer different rows than clusters, and it keeps its place.
pub(crate) fn update(rows: &Rows<'_>, old: ArrayView2<'_, f32>, labels: &[usize]) -> Update {
    let mut members = vec![Vec::new(); old.nrows()];
    for (row, &label) in labels.iter().enumerate() {
        members[label].push(row);
    }
    let repaired = fill_empty(rows, old, labels, &mut members);

    // Large clusters are summed in segments, so that one of them does not hold up all threads.
    let parts: Vec<(usize, &[usize])> = members
        .iter()
        .enumerate()
        .flat_map(|(cluster, members)| members.chunks(SEGMENT).map(move |part| (cluster, part)))
        .collect();
    let sums: Vec<Vec<f64>> =
        parts.par_iter().map(|(_, part)| rows.sum(part.iter().copied())).collect();

    let mut centroids = old.to_owned();
    let mut done = 0;
    for (cluster, members) in members.iter().enumerate().filter(|(_, members)| !members.is_empty())
    {
        let next = done + members.len().div_ceil(SEGMENT);
        let mut mean = rows.mean(&sums[done..next], members.len());
        done = next;
        if rows.metric == Metric::Cosine {
            let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
            if length == 0.0 {
                continue; // opposite rows have no common direction: the old one is as good as any
            }
            for x in &mut mean {
                *x /= length;
            }
        }
        centroids.row_mut(cluster).iter_mut().zip(mean).for_each(|(to, mean)| *to = mean as f32);
    }
    let moved = |(&new, &old): (&f32, &f32)| (f64::from(new) - f64::from(old)).powi(2);
    let movement = centroids.iter().zip(old).map(moved).sum();
    Update { centroids, movement, repaired }
}

fn fill_empty(
    rows: &Rows<'_>,
    old: ArrayView2<'_, f32>,
    labels: &[usize],
    members: &mut [Vec<usize>],
) -> usize {
    let empty: Vec<usize> = (0..members.len()).filter(|&j| members[j].is_empty()).collect();
    if empty.is_empty() {
        return 0;
    }
    let distances = own_distances(rows, old, labels);
    let mut farthest: Vec<usize> = (0..labels.len()).filter(|&row| distances[row] > 0.0).collect();
    farthest.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]).then(a.cmp(&b)));
    let mut left: Vec<usize> = members.iter().map(Vec::len).collect();
    let mut taken = Vec::new();
    for row in farthest {
        if taken.len() == empty.len() {
            break;
        }
        // The last row of a cluster stays, or that cluster would be empty in turn.
        if left[labels[row]] > 1 {
            left[labels[row]] -= 1;
            taken.push(row);
        }
    }
    for (&cluster, &row) in empty.iter().zip(&taken) {
        members[labels[row]].retain(|&member| member != row);
        members[cluster].push(row);
    }
    taken.len()
}
