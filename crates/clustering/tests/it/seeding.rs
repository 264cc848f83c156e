//! Starts, seeds and empty clusters.

use ndarray::{Array2, array};
use tamis_clustering::{KMeansParams, Metric};
use tamis_selection::vectors::ndarray;

use crate::blobs;

#[test]
fn one_seed_gives_one_result_and_another_seed_another() {
    let rows = blobs(600, 5, 40, 3.0, 1);
    let fit = |seed| {
        let params = KMeansParams { k: 12, seed, ..KMeansParams::default() };
        params.check().unwrap().fit(&rows).unwrap()
    };
    assert_eq!(fit(3), fit(3));
    assert!((4..8).any(|seed| fit(seed).labels != fit(3).labels));
}

#[test]
fn seeding_finds_every_group() {
    // Twelve small groups of very different sizes; uniform first centroids would miss some.
    let groups = |row: usize| if row < 400 { 0 } else { 1 + row % 11 };
    let rows = Array2::from_shape_fn((500, 2), |(row, column)| {
        let group = groups(row);
        let place = [(group % 4) * 50, (group / 4) * 50][column] as f32;
        place + ((row * 7 + column * 3) % 13) as f32 / 10.0
    });
    for seed in 0..40 {
        let params = KMeansParams { k: 12, seed, ..KMeansParams::default() };
        let fit = params.check().unwrap().fit(&rows).unwrap();
        for row in 0..500 {
            let first = (0..500).find(|&other| groups(other) == groups(row)).unwrap();
            assert_eq!(fit.labels[row], fit.labels[first], "seed {seed}, row {row}");
        }
        assert!(fit.sizes().iter().all(|&size| size > 0));
    }
}

#[test]
fn as_many_clusters_as_different_rows_leave_no_inertia() {
    let rows = blobs(40, 3, 40, 1.0, 6);
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let params = KMeansParams { k: 40, metric, ..KMeansParams::default() };
        let fit = params.check().unwrap().fit(&rows).unwrap();
        assert!(fit.sizes().iter().all(|&size| size == 1), "{metric}: {:?}", fit.sizes());
        assert!(fit.inertia < 1e-9 && fit.converged, "{metric}: {}", fit.inertia);
    }
}

#[test]
fn fewer_different_rows_than_clusters() {
    let rows =
        Array2::from_shape_fn((30, 4), |(row, column)| ((row % 3) * (column + 1)) as f32 / 3.0);
    let params = KMeansParams { k: 7, n_init: 2, ..KMeansParams::default() };
    let fit = params.check().unwrap().fit(&rows).unwrap();
    assert!(fit.converged);
    assert!(fit.inertia < 1e-10, "{}", fit.inertia);
    let filled: Vec<usize> = fit.sizes().into_iter().filter(|&size| size > 0).collect();
    assert_eq!(filled, [10, 10, 10]);

    let same = Array2::from_elem((20, 3), 0.3_f32);
    let fit = params_of(5).fit(&same.view()).unwrap();
    assert_eq!((fit.inertia, fit.converged), (0.0, true));
    assert!(fit.labels.iter().all(|&label| label == fit.labels[0]));
}

fn params_of(k: usize) -> tamis_clustering::KMeans {
    KMeansParams { k, ..KMeansParams::default() }.check().unwrap()
}

#[test]
fn empty_clusters_take_over_the_farthest_rows() {
    // Both far centroids are nobody's: they take rows 5 and 4, the two farthest from centroid 0.
    let rows = array![[0.0], [0.1], [0.2], [0.3], [7.0], [9.0_f32]];
    let initial = array![[0.0], [100.0], [200.0_f32]];
    let params = KMeansParams { k: 3, max_iter: 1, ..KMeansParams::default() };
    let fit = params.check().unwrap().fit_from(&rows.view(), initial.view()).unwrap();
    assert_eq!(fit.labels, [0, 0, 0, 0, 2, 1]);
    assert_eq!(params_of(3).fit_from(&rows.view(), initial.view()).unwrap().sizes(), [4, 1, 1]);
    // Of equally far rows the first goes; a cluster never gives its last row away.
    let rows = array![[-3.0], [3.0], [0.0], [50.0_f32]];
    let initial = array![[0.0], [40.0], [900.0_f32]];
    let params = KMeansParams { k: 3, max_iter: 1, ..KMeansParams::default() };
    let fit = params.check().unwrap().fit_from(&rows.view(), initial.view()).unwrap();
    assert_eq!(fit.labels, [2, 0, 0, 1]);
}

#[test]
fn more_starts_are_never_worse() {
    let rows = blobs(300, 3, 25, 1.5, 9);
    let inertia = |n_init| {
        let params = KMeansParams { k: 20, n_init, seed: 1, ..KMeansParams::default() };
        params.check().unwrap().fit(&rows).unwrap().inertia
    };
    let series: Vec<f64> = [1, 2, 4, 8].map(inertia).to_vec();
    assert!(series.windows(2).all(|pair| pair[1] <= pair[0]), "{series:?}");
    assert!(series[3] < series[0], "{series:?}");
}
