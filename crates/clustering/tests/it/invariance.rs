//! What must not change the result: threads, order and place of the rows, their layout.

use ndarray::{Array2, Axis, s};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use proptest::prelude::*;
use rayon::ThreadPoolBuilder;
use tamis_clustering::{ClusteringError, KMeans, KMeansParams, Metric};
use tamis_selection::vectors::{Vectors, VectorsError, ndarray};

use crate::{Numbers, blobs};

fn kmeans(k: usize, metric: Metric) -> KMeans {
    KMeansParams { k, metric, tolerance: 0.0, ..KMeansParams::default() }.check().unwrap()
}

#[test]
fn the_number_of_threads_does_not_matter() {
    // Clusters beyond a segment of 2048 rows, and many blocks.
    let rows = blobs(9000, 13, 6, 8.0, 5);
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let params = KMeansParams {
            k: 7,
            metric,
            n_init: 2,
            max_iter: 8,
            seed: 9,
            ..KMeansParams::default()
        };
        let kmeans = params.check().unwrap();
        let fits: Vec<_> = [1, 2, 3, 8]
            .into_iter()
            .map(|threads| {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| kmeans.fit(&rows)).unwrap()
            })
            .collect();
        assert!(fits.windows(2).all(|pair| pair[0] == pair[1]), "{metric}");
    }
}

#[test]
fn the_layout_of_the_rows_does_not_matter() {
    let rows = blobs(300, 10, 4, 5.0, 8);
    let columns_first = rows.t().as_standard_layout().into_owned();
    let mut wide = Array2::from_elem((600, 20), f32::NAN);
    wide.slice_mut(s![..;2, 5..15]).assign(&rows);
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let fit = kmeans(4, metric).fit(&rows).unwrap();
        assert_eq!(kmeans(4, metric).fit(&columns_first.t()).unwrap(), fit);
        assert_eq!(kmeans(4, metric).fit(&wide.slice(s![..;2, 5..15])).unwrap(), fit);
    }
}

#[test]
fn rows_far_from_the_origin_are_told_apart() {
    // In f32 the squares of these coordinates are 2³⁰ with steps of 64: far coarser than the clusters.
    let near = blobs(500, 6, 5, 1.0, 2);
    let far = &near + 32_768.0;
    // What f32 keeps of them.
    let kept = &far - 32_768.0;
    let fit = |rows: &Array2<f32>| kmeans(5, Metric::Euclidean).fit(&rows).unwrap();
    let (far, kept) = (fit(&far), fit(&kept));
    assert_eq!(far.labels, kept.labels);
    // Centroids in f32 out there would be off by up to 0.002.
    for (far, kept) in far.distances.iter().zip(&kept.distances) {
        assert!((far - kept).abs() < 1e-5, "{far} {kept}");
    }
}

#[test]
fn equally_near_centroids_give_the_first() {
    let rows = ndarray::array![[0.0], [-4.0], [4.0_f32]];
    let initial = ndarray::array![[1.0], [-1.0_f32]];
    let params = KMeansParams { k: 2, max_iter: 1, tolerance: 1e9, ..KMeansParams::default() };
    let fit = params.check().unwrap().fit_from(&rows.view(), initial.view()).unwrap();
    // Row 0 went with the first: its mean is 2, that of the second -4.
    assert_eq!(fit.centroids, ndarray::array![[2.0], [-4.0_f32]]);
}

/// Rows that are multiples of 2⁻¹⁰: their f64 sums are exact, so no order of adding changes them.
fn any_blobs() -> impl Strategy<Value = (Array2<f32>, usize)> {
    (1_usize..6, 12_usize..300, 1_usize..10, any::<u64>())
        .prop_map(|(k, rows, columns, seed)| (blobs(rows, columns, k, 6.0, seed), k))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_the_rows_does_not_matter((rows, k) in any_blobs(), seed in any::<u64>()) {
        let mut order: Vec<usize> = (0..rows.nrows()).collect();
        let mut numbers = Numbers(seed);
        let keys: Vec<f32> = order.iter().map(|_| numbers.next()).collect();
        order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
        let shuffled = rows.select(Axis(0), &order);
        let initial = rows.slice(s![..k, ..]);
        let before = kmeans(k, Metric::Euclidean).fit_from(&rows.view(), initial).unwrap();
        let after = kmeans(k, Metric::Euclidean).fit_from(&shuffled.view(), initial).unwrap();
        prop_assert_eq!(&before.centroids, &after.centroids);
        prop_assert_eq!(before.iterations, after.iterations);
        for (row, &from) in order.iter().enumerate() {
            prop_assert_eq!(after.labels[row], before.labels[from]);
            prop_assert_eq!(after.distances[row].to_bits(), before.distances[from].to_bits());
        }
    }

    #[test]
    fn the_place_of_the_rows_does_not_matter((rows, k) in any_blobs(), shift in -4000..4000_i16) {
        // By a quarter of a whole number: exact in f32 for multiples of 2⁻¹⁰ below 2¹³.
        let shift = f32::from(shift) / 4.0;
        let initial = rows.slice(s![..k, ..]);
        let before = kmeans(k, Metric::Euclidean).fit_from(&rows.view(), initial).unwrap();
        let (moved, initial) = (&rows + shift, &initial + shift);
        let after = kmeans(k, Metric::Euclidean).fit_from(&moved.view(), initial.view()).unwrap();
        prop_assert_eq!(&before.labels, &after.labels);
        let apart = (&after.centroids - &before.centroids - shift).mapv(f32::abs);
        prop_assert!(apart.iter().all(|&x| x < 1e-3));
    }

    #[test]
    fn the_inertia_never_rises((rows, k) in any_blobs(), cosine in any::<bool>()) {
        let metric = if cosine { Metric::Cosine } else { Metric::Euclidean };
        let rows = if cosine { rows + 0.01 } else { rows }; // no zero rows
        let initial = rows.slice(s![..k, ..]);
        let mut last = f64::INFINITY;
        for max_iter in 1..12 {
            let params = KMeansParams { k, metric, max_iter, tolerance: 0.0, ..KMeansParams::default() };
            let fit = params.check().unwrap().fit_from(&rows.view(), initial).unwrap();
            prop_assert!(fit.inertia <= last * (1.0 + 1e-6) + 1e-9, "{} {last}", fit.inertia);
            prop_assert!(fit.iterations <= max_iter);
            last = fit.inertia;
        }
    }
}

/// Rows that are put together from an odd number of places each time they are asked for, after so many times no more.
struct Pieces<'a> {
    rows: &'a Array2<f32>,
    piece: usize,
    left: AtomicUsize,
}

impl Vectors for Pieces<'_> {
    fn len(&self) -> usize {
        self.rows.nrows()
    }

    fn width(&self) -> usize {
        self.rows.ncols()
    }

    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError> {
        let left = self.left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1));
        left.map_err(|_| VectorsError::new("the disk is gone"))?;
        scratch.clear();
        for start in (first..first + count).step_by(self.piece) {
            let end = (first + count).min(start + self.piece);
            scratch.extend(self.rows.slice(s![start..end, ..]).iter());
        }
        Ok(scratch)
    }
}

fn pieces(rows: &Array2<f32>, piece: usize) -> Pieces<'_> {
    Pieces { rows, piece, left: AtomicUsize::new(usize::MAX) }
}

proptest! {
    #[test]
    fn rows_read_in_pieces_give_the_same_bits(
        seed in 0u64..1000,
        count in 1usize..700,
        width in 1usize..12,
        k in 1usize..9,
        half in 0usize..60,
        far in prop::bool::ANY,
        cosine in prop::bool::ANY,
    ) {
        let mut rows = blobs(count, width, k, 0.5, seed);
        // No row of zeros, and rows that are worked on less their mean.
        rows += if far { 300.0 } else { 0.001 };
        let metric = if cosine { Metric::Cosine } else { Metric::Euclidean };
        let kmeans = kmeans(k.min(count), metric);
        let (expected, source) = (kmeans.fit(&rows).unwrap(), pieces(&rows, 2 * half + 1));
        prop_assert_eq!(kmeans.fit(&source).unwrap(), expected);
    }
}

#[test]
fn rows_too_wide_for_a_block_give_the_same_bits() {
    // A piece has 209 of them, and a wave of the update a few dozen.
    let rows = blobs(300, 20_000, 3, 0.5, 4);
    let found = kmeans(3, Metric::Euclidean).fit(&rows).unwrap();
    assert_eq!(kmeans(3, Metric::Euclidean).fit(&pieces(&rows, 7)).unwrap(), found);
    // The witness in the plainest of ways.
    for (row, &label) in rows.rows().into_iter().zip(&found.labels) {
        let to = |j: usize| -> f64 {
            let terms = row.iter().zip(found.centroids.row(j));
            terms.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        assert!((0..3).all(|j| to(label) <= to(j) * (1.0 + 1e-12)));
    }
}

#[test]
fn rows_that_cannot_be_read_end_the_run() {
    let rows = blobs(900, 3, 4, 0.5, 2);
    let kmeans = kmeans(4, Metric::Cosine);
    let enough = pieces(&rows, 5);
    kmeans.fit(&enough).unwrap();
    let blocks = usize::MAX - enough.left.load(Relaxed);
    for left in [0, 1, blocks / 2, blocks - 1] {
        let source = Pieces { left: AtomicUsize::new(left), ..pieces(&rows, 5) };
        let expected = ClusteringError::Vectors(VectorsError::new("the disk is gone"));
        assert_eq!(kmeans.fit(&source).unwrap_err(), expected, "{left}");
    }
}
