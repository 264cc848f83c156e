//! Bad input is refused by name.

use ndarray::{Array2, array};
use tamis_clustering::{ClusteringError, KMeans, KMeansParams, Metric, Within};
use tamis_selection::vectors::ndarray;

fn kmeans(k: usize, metric: Metric) -> KMeans {
    KMeansParams { k, metric, ..KMeansParams::default() }.check().unwrap()
}

#[test]
fn parameters_are_checked() {
    let good = KMeansParams::default();
    assert_eq!(good.clone().check().unwrap().params(), &good);
    for (bad, message) in [
        (KMeansParams { k: 0, ..good.clone() }, "`k` is 0, expected at least 1"),
        (KMeansParams { n_init: 0, ..good.clone() }, "`n_init` is 0"),
        (KMeansParams { max_iter: 0, ..good.clone() }, "`max_iter` is 0"),
        (KMeansParams { tolerance: -1.0, ..good.clone() }, "`tolerance` is -1"),
        (KMeansParams { tolerance: f64::NAN, ..good.clone() }, "`tolerance` is NaN"),
    ] {
        let refused = bad.check().unwrap_err().to_string();
        assert!(refused.contains(message), "{refused}");
    }
}

#[test]
fn rows_are_checked() {
    let rows = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0_f32]];
    let refused = kmeans(4, Metric::Euclidean).fit(&rows).unwrap_err();
    assert_eq!(refused, ClusteringError::TooFewRows { k: 4, rows: 3 });
    let refused = kmeans(1, Metric::Euclidean).fit(&Array2::zeros((0, 2)).view()).unwrap_err();
    assert_eq!(refused, ClusteringError::TooFewRows { k: 1, rows: 0 });
    let refused = kmeans(1, Metric::Euclidean).fit(&Array2::zeros((3, 0)).view()).unwrap_err();
    assert_eq!(refused, ClusteringError::NoColumns { rows: 3 });

    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut bad = rows.clone();
        bad[[2, 1]] = value;
        for metric in [Metric::Euclidean, Metric::Cosine] {
            let refused = kmeans(2, metric).fit(&bad.view()).unwrap_err().to_string();
            assert!(refused.starts_with("row 2 of the rows holds"), "{refused}");
            assert!(refused.contains("column 1"), "{refused}");
            let start = bad.slice(ndarray::s![1.., ..]);
            let refused = kmeans(2, metric).fit_from(&rows.view(), start).unwrap_err().to_string();
            assert!(refused.starts_with("row 1 of the initial centroids"), "{refused}");
        }
    }
}

#[test]
fn zero_rows_have_no_cosine() {
    let rows = array![[1.0, 2.0], [0.0, -0.0], [5.0, 6.0_f32]];
    let refused = kmeans(2, Metric::Cosine).fit(&rows).unwrap_err();
    assert_eq!(refused, ClusteringError::ZeroRow { what: "rows", row: 1 });
    kmeans(2, Metric::Euclidean).fit(&rows).unwrap();
    // The smallest row there is has a direction.
    let tiny = array![[1.0, 0.0], [f32::from_bits(1), 0.0], [0.0, 6.0_f32]];
    let fit = kmeans(2, Metric::Cosine).fit(&tiny.view()).unwrap();
    assert_eq!(fit.labels[0], fit.labels[1]);
}

#[test]
fn initial_centroids_must_fit() {
    let rows = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0_f32]];
    let refused = kmeans(2, Metric::Euclidean).fit_from(&rows.view(), rows.view()).unwrap_err();
    assert_eq!(refused, ClusteringError::InitialShape { found: [3, 2], expected: [2, 2] });
}

#[test]
fn sizes_at_the_ends_of_f32() {
    // Coordinates whose squares vanish in f32 are told apart all the same.
    let small = array![[1e-30], [1.1e-30], [8e-30], [9e-30_f32]];
    let fit = kmeans(2, Metric::Euclidean).fit(&small.view()).unwrap();
    assert_eq!(fit.sizes(), [2, 2]);
    assert_eq!(fit.labels[0], fit.labels[1]);
    // Those whose squares overflow are refused, up to the greatest f32.
    for large in [1e19, f32::MAX] {
        let rows = array![[0.0], [1.0], [large], [-large]];
        let refused = kmeans(2, Metric::Euclidean).fit(&rows).unwrap_err();
        assert!(matches!(refused, ClusteringError::TooLong { row: 2, .. }), "{refused}");
        assert!(refused.to_string().contains("scale all rows down"), "{refused}");
        // Their directions are fine.
        kmeans(2, Metric::Cosine).fit(&array![[1.0, 1.0], [large, -large]].view()).unwrap();
    }
    let just = array![[1e18], [1.1e18], [-1e18], [-1.1e18_f32]];
    assert_eq!(kmeans(2, Metric::Euclidean).fit(&just.view()).unwrap().sizes(), [2, 2]);
}

#[test]
fn names_come_back() {
    for metric in [Metric::Euclidean, Metric::Cosine] {
        assert_eq!(metric.to_string().parse(), Ok(metric));
        assert_eq!(serde_json::to_value(metric).unwrap(), metric.to_string());
    }
    for within in [Within::Random, Within::BestScore, Within::Nearest] {
        assert_eq!(within.to_string().parse(), Ok(within));
        assert_eq!(serde_json::to_value(within).unwrap(), within.to_string());
    }
    let refused = "Best".parse::<Within>().unwrap_err().to_string();
    assert!(
        refused.contains("`Best`") && refused.contains("random, best-score, nearest"),
        "{refused}"
    );
    let text = serde_json::to_string(&KMeansParams::default()).unwrap();
    assert_eq!(serde_json::from_str::<KMeansParams>(&text).unwrap(), KMeansParams::default());
}
