//! New centroids from labels, and what happens to clusters that lost all their rows.

use std::ops::Range;

use rayon::prelude::*;
use tamis_selection::vectors::ndarray::{Array2, ArrayView2};

use crate::assign::own_distances;
use crate::rows::{Rows, SEGMENT};
use crate::{ClusteringError, Metric};

/// Numbers that a thread reads at a time at most, unless a single row has more.
const PIECE: usize = 1 << 20;

/// Rows that a thread reads at a time at most.
const MOST_ROWS: usize = 1 << 14;

/// Columns of a task.
const COLUMNS: usize = 4096;

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
pub(crate) fn update(
    rows: &Rows<'_>,
    old: ArrayView2<'_, f32>,
    labels: &[usize],
) -> Result<Update, ClusteringError> {
    let mut sizes = vec![0; old.nrows()];
    for &label in labels {
        sizes[label] += 1;
    }
    let moves = fill_empty(rows, old, labels, &mut sizes)?;
    let mut moved;
    let mut labels = labels;
    if !moves.is_empty() {
        moved = labels.to_vec();
        for &(row, cluster) in &moves {
            moved[row] = cluster;
        }
        labels = &moved;
    }

    let mut sums = Sums::new(old.nrows(), rows.columns());
    sums.add_all(rows, labels)?;
    let mut centroids = old.to_owned();
    for (cluster, &size) in sizes.iter().enumerate().filter(|(_, size)| **size > 0) {
        let mut mean = rows.mean(sums.of(cluster), size);
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
    Ok(Update { centroids, movement, repaired: moves.len() })
}

/// Sums of the rows of every cluster. The rows of a cluster are added in their order, a segment of them
/// at a time.
struct Sums {
    width: usize,
    /// Of whole segments.
    totals: Vec<f64>,
    /// Of what was added since.
    parts: Vec<f64>,
    counts: Vec<usize>,
}

impl Sums {
    fn new(clusters: usize, width: usize) -> Self {
        let zeros = vec![0.0; clusters * width];
        Self { width, totals: zeros.clone(), parts: zeros, counts: vec![0; clusters] }
    }

    fn of(&self, cluster: usize) -> &[f64] {
        &self.totals[cluster * self.width..(cluster + 1) * self.width]
    }

    /// Reads all rows once, a piece for every thread at a time.
    fn add_all(&mut self, rows: &Rows<'_>, labels: &[usize]) -> Result<(), ClusteringError> {
        let at_once = (PIECE / self.width).clamp(1, MOST_ROWS);
        let pieces: Vec<Range<usize>> = (0..labels.len())
            .step_by(at_once)
            .map(|first| first..labels.len().min(first + at_once))
            .collect();
        let threads = rayon::current_num_threads();
        let mut scratch = vec![Vec::new(); threads];
        for wave in pieces.chunks(threads) {
            let read = wave.par_iter().zip(&mut scratch);
            let read: Result<Vec<&[f32]>, ClusteringError> =
                read.map(|(piece, scratch)| rows.given(piece.clone(), scratch)).collect();
            self.add(rows, labels, wave, &read?);
        }
        for cluster in 0..self.counts.len() {
            let all = cluster * self.width..(cluster + 1) * self.width;
            if !self.counts[cluster].is_multiple_of(SEGMENT) {
                close(&mut self.totals[all.clone()], &mut self.parts[all]);
            }
        }
        Ok(())
    }

    /// Adds the rows of some pieces.
    fn add(&mut self, rows: &Rows<'_>, labels: &[usize], pieces: &[Range<usize>], read: &[&[f32]]) {
        let width = self.width;
        let mut members: Vec<Vec<(usize, &[f32])>> = vec![Vec::new(); self.counts.len()];
        for (piece, numbers) in pieces.iter().zip(read) {
            for (row, numbers) in piece.clone().zip(numbers.chunks_exact(width)) {
                members[labels[row]].push((row, numbers));
            }
        }
        let sums = self.totals.par_chunks_mut(width).zip(self.parts.par_chunks_mut(width));
        sums.zip(&self.counts).zip(&members).for_each(|(((total, part), &count), members)| {
            if members.is_empty() {
                return;
            }
            let columns = total.par_chunks_mut(COLUMNS).zip(part.par_chunks_mut(COLUMNS));
            columns.enumerate().for_each(|(task, (total, part))| {
                let first = task * COLUMNS;
                for (added, &(row, numbers)) in (count + 1..).zip(members) {
                    rows.add(part, row, &numbers[first..first + part.len()]);
                    if added % SEGMENT == 0 {
                        close(total, part);
                    }
                }
            });
        });
        self.counts.iter_mut().zip(&members).for_each(|(count, members)| *count += members.len());
    }
}

/// Adds a segment to the total and begins another.
fn close(total: &mut [f64], part: &mut [f64]) {
    for (total, part) in total.iter_mut().zip(part) {
        *total += *part;
        *part = 0.0;
    }
}

/// The rows that empty clusters take over, with these clusters.
fn fill_empty(
    rows: &Rows<'_>,
    old: ArrayView2<'_, f32>,
    labels: &[usize],
    sizes: &mut [usize],
) -> Result<Vec<(usize, usize)>, ClusteringError> {
    let empty: Vec<usize> = (0..sizes.len()).filter(|&j| sizes[j] == 0).collect();
    if empty.is_empty() {
        return Ok(Vec::new());
    }
    let distances = own_distances(rows, old, labels)?;
    let mut farthest: Vec<usize> = (0..labels.len()).filter(|&row| distances[row] > 0.0).collect();
    farthest.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]).then(a.cmp(&b)));
    let mut taken = Vec::new();
    for row in farthest {
        if taken.len() == empty.len() {
            break;
        }
        // The last row of a cluster stays, or that cluster would be empty in turn.
        if sizes[labels[row]] > 1 {
            sizes[labels[row]] -= 1;
            taken.push(row);
        }
    }
    let moves: Vec<(usize, usize)> = taken.into_iter().zip(empty).collect();
    for &(_, cluster) in &moves {
        sizes[cluster] = 1;
    }
    Ok(moves)
}
