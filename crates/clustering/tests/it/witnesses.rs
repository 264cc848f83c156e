//! The same result as scikit-learn's and as a plain loop over the definition.

use ndarray::{Array2, ArrayView1, ArrayView2, s};
use serde_json::Value;
use tamis_clustering::{KMeansFit, KMeansParams, Metric};
use tamis_selection::vectors::ndarray;

use crate::blobs;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

#[test]
fn as_scikit_learn_from_the_same_start() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("../fixtures/sklearn.json")).unwrap();
    let mut values = include_bytes!("../fixtures/sklearn.f32")
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
    let mut take = |rows: usize, columns: usize| {
        let values: Vec<f32> = values.by_ref().take(rows * columns).collect();
        Array2::from_shape_vec((rows, columns), values).unwrap()
    };
    assert_eq!(cases.len(), 9);
    for case in &cases {
        let number = |name: &str| case[name].as_u64().unwrap() as usize;
        let (n, columns, k) = (number("rows"), number("columns"), number("k"));
        let (rows, initial) = (take(n, columns), take(k, columns));
        let kmeans = KMeansParams {
            k,
            max_iter: number("max_iter"),
            tolerance: case["tolerance"].as_f64().unwrap(),
            ..KMeansParams::default()
        };
        let fit = kmeans.check().unwrap().fit_from(&rows.view(), initial.view()).unwrap();
        let labels: Vec<usize> = numbers(&case["labels"]).iter().map(|&x| x as usize).collect();
        let name = &case["name"];
        assert_eq!(fit.labels, labels, "{name}");
        assert_eq!(fit.iterations, number("iterations"), "{name}");
        assert_eq!(fit.converged, name != "cut off", "{name}");
        // scikit-learn adds its inertia and centres up in f32.
        let inertia = case["inertia"].as_f64().unwrap();
        assert!(
            (fit.inertia - inertia).abs() <= 1e-5 * inertia,
            "{name}: {} {inertia}",
            fit.inertia
        );
        for (&ours, theirs) in fit.centroids.iter().zip(numbers(&case["centroids"])) {
            let close = (f64::from(ours) - theirs).abs() <= 3e-5 + 1e-6 * theirs.abs();
            assert!(close, "{name}: {ours} {theirs}");
        }
        assert_belongs_together(&fit, rows.view(), Metric::Euclidean);
    }
    assert!(values.next().is_none());
}

fn distance(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>, metric: Metric) -> f64 {
    let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    match metric {
        Metric::Euclidean => {
            let squares = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
            squares.sum::<f64>().sqrt()
        }
        Metric::Cosine => 1.0 - dot(a, b) / (dot(a, a) * dot(b, b)).sqrt(),
    }
}

/// Labels, distances and inertia of a fit are those of its own centroids.
fn assert_belongs_together(fit: &KMeansFit, rows: ArrayView2<'_, f32>, metric: Metric) {
    let scale = rows.iter().fold(1.0, |max, x| x.abs().max(max));
    let mut inertia = 0.0;
    for (row, point) in rows.rows().into_iter().enumerate() {
        let own = distance(point, fit.centroids.row(fit.labels[row]), metric);
        for centroid in fit.centroids.rows() {
            assert!(
                own <= distance(point, centroid, metric) + 1e-6 * f64::from(scale),
                "row {row}"
            );
        }
        assert!(
            (own - f64::from(fit.distances[row])).abs() <= 1e-6 * f64::from(scale),
            "row {row}"
        );
        assert!(fit.distances[row] >= 0.0);
        inertia += if metric == Metric::Euclidean { own * own } else { own };
    }
    assert!((inertia - fit.inertia).abs() <= 1e-4 * inertia + 1e-9, "{inertia} {}", fit.inertia);
    assert_eq!(fit.sizes().iter().sum::<usize>(), rows.nrows());
}

/// Lloyd's iterations as the definition has them, in f64, until no label changes.
fn plain_loop(
    rows: ArrayView2<'_, f32>,
    initial: ArrayView2<'_, f32>,
    metric: Metric,
) -> Vec<usize> {
    let unit = |row: ArrayView1<'_, f32>| -> Vec<f64> {
        let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        let length = if metric == Metric::Cosine { length } else { 1.0 };
        row.iter().map(|x| x / length).collect()
    };
    let rows: Vec<Vec<f64>> = rows.rows().into_iter().map(unit).collect();
    let mut centroids: Vec<Vec<f64>> = initial.rows().into_iter().map(unit).collect();
    let mut labels = vec![usize::MAX; rows.len()];
    loop {
        let nearest = |row: &Vec<f64>| {
            let square = |j: usize| -> f64 {
                row.iter().zip(&centroids[j]).map(|(a, b)| (a - b) * (a - b)).sum()
            };
            (0..centroids.len()).min_by(|&a, &b| square(a).total_cmp(&square(b))).unwrap()
        };
        let new: Vec<usize> = rows.iter().map(nearest).collect();
        if new == labels {
            return labels;
        }
        labels = new;
        for (j, centroid) in centroids.iter_mut().enumerate() {
            let members: Vec<_> = rows.iter().zip(&labels).filter(|(_, l)| **l == j).collect();
            assert!(!members.is_empty(), "the plain loop does not repair");
            for (column, x) in centroid.iter_mut().enumerate() {
                *x = members.iter().map(|(row, _)| row[column]).sum::<f64>() / members.len() as f64;
            }
            if metric == Metric::Cosine {
                let length = centroid.iter().map(|x| x * x).sum::<f64>().sqrt();
                for x in centroid.iter_mut() {
                    *x /= length;
                }
            }
        }
    }
}

#[test]
fn as_a_plain_loop() {
    for metric in [Metric::Euclidean, Metric::Cosine] {
        // Sizes below, at and beyond a block of 256 rows; widths on and off the eight lanes.
        for (n, columns, k) in [(30, 1, 2), (256, 8, 5), (700, 19, 11), (513, 70, 4), (900, 3, 20)]
        {
            let columns = if metric == Metric::Cosine { columns + 1 } else { columns };
            let rows = blobs(n, columns, k + 2, 6.0, n as u64);
            let initial = rows.slice(s![..k, ..]).to_owned();
            let params = KMeansParams { k, metric, tolerance: 0.0, ..KMeansParams::default() };
            let fit = params.check().unwrap().fit_from(&rows.view(), initial.view()).unwrap();
            assert!(fit.converged);
            let expected = plain_loop(rows.view(), initial.view(), metric);
            assert!(fit.labels == expected, "{metric} {n} {columns} {k}");
            assert_belongs_together(&fit, rows.view(), metric);
        }
    }
}

#[test]
fn cosine_sees_directions_only() {
    let rows = blobs(400, 6, 5, 3.0, 3);
    let kmeans = KMeansParams { k: 5, metric: Metric::Cosine, seed: 4, ..KMeansParams::default() };
    let kmeans = kmeans.check().unwrap();
    let fit = kmeans.fit(&rows).unwrap();
    for centroid in fit.centroids.rows() {
        assert!((centroid.dot(&centroid) - 1.0).abs() < 1e-6);
    }
    // Every row by another power of two, from 2⁻⁹⁹ to 2⁹⁹: exactly the same directions.
    let mut scaled = rows.clone();
    for (i, mut row) in scaled.rows_mut().into_iter().enumerate() {
        row *= 2_f32.powi((i * 37 % 199) as i32 - 99);
    }
    assert_eq!(kmeans.fit(&scaled.view()).unwrap(), fit);
    // Opposite rows in one cluster have no mean direction; the first centroid stays.
    let opposite = ndarray::array![[1.0, 0.0], [-1.0, 0.0_f32]];
    let kmeans = KMeansParams { k: 1, metric: Metric::Cosine, ..KMeansParams::default() };
    let start = ndarray::array![[0.0, 2.0_f32]];
    let fit = kmeans.check().unwrap().fit_from(&opposite.view(), start.view()).unwrap();
    assert_eq!(fit.centroids, ndarray::array![[0.0, 1.0_f32]]);
    assert!((fit.inertia - 2.0).abs() < 1e-12);
}
