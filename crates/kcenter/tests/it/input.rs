//! Bad input is refused by name.

use tamis_kcenter::{KCenter, KCenterError, KCenterParams, Metric};
use tamis_selection::vectors::ndarray::{Array2, array};

fn kcenter(budget: usize, metric: Metric) -> KCenter {
    KCenterParams { budget, metric }.check().unwrap()
}

#[test]
fn parameters_are_checked() {
    let good = KCenterParams::default();
    assert_eq!(good.check().unwrap().params(), &good);
    let refused = KCenterParams { budget: 0, ..good }.check().unwrap_err().to_string();
    assert!(refused.contains("`budget` is 0, expected at least 1"), "{refused}");
    let text = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<KCenterParams>(&text).unwrap(), good);
    assert!(
        serde_json::from_str::<KCenterParams>(r#"{"budget":1,"metric":"euclidean","k":1}"#)
            .is_err()
    );
}

#[test]
fn names_come_back() {
    for metric in [Metric::Euclidean, Metric::Cosine] {
        assert_eq!(metric.to_string().parse(), Ok(metric));
        assert_eq!(serde_json::to_value(metric).unwrap(), metric.to_string());
    }
    let refused = "manhattan".parse::<Metric>().unwrap_err().to_string();
    assert!(refused.contains("`manhattan`") && refused.contains("euclidean, cosine"), "{refused}");
}

#[test]
fn budgets_and_initial_rows_are_checked() {
    let rows = array![[1.0, 2.0], [3.0, 4.0], [5.0, 6.0_f32]];
    let rows = rows.view();
    let refused = kcenter(4, Metric::Euclidean).pick(&rows, &[]).unwrap_err();
    assert_eq!(refused, KCenterError::Budget { budget: 4, initial: 0, left: 3 });
    let refused = kcenter(2, Metric::Cosine).pick(&rows, &[2, 0]).unwrap_err();
    assert_eq!(refused, KCenterError::Budget { budget: 2, initial: 2, left: 1 });
    let refused = kcenter(1, Metric::Euclidean).pick(&rows, &[0, 3]).unwrap_err();
    let expected =
        KCenterError::OutOfRange { what: "initial rows", position: 1, index: 3, rows: 3 };
    assert_eq!(refused, expected);
    let refused = kcenter(1, Metric::Euclidean).pick(&rows, &[1, 1]).unwrap_err();
    assert_eq!(refused, KCenterError::Twice { what: "initial rows", index: 1 });
    assert_eq!(kcenter(1, Metric::Euclidean).pick(&rows, &[2, 0]).unwrap().indices(), [1]);
    assert_eq!(kcenter(3, Metric::Euclidean).pick(&rows, &[]).unwrap().indices(), [0, 2, 1]);
}

#[test]
fn rows_are_checked() {
    let refused =
        kcenter(1, Metric::Euclidean).pick(&Array2::zeros((3, 0)).view(), &[]).unwrap_err();
    assert_eq!(refused, KCenterError::NoColumns { rows: 3 });
    let rows = Array2::from_shape_fn((700, 3), |(row, column)| (row * column) as f32 + 1.0);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for row in [0, 300, 699] {
            let mut bad = rows.clone();
            bad[[row, 1]] = value;
            bad[[699, 2]] = f32::NAN;
            for metric in [Metric::Euclidean, Metric::Cosine] {
                let refused = kcenter(2, metric).pick(&bad.view(), &[]).unwrap_err().to_string();
                let start = format!("row {row} holds {value} in column 1");
                assert!(refused.starts_with(&start), "{refused}");
            }
        }
    }
}

#[test]
fn rows_too_long_for_f32_are_refused() {
    for large in [1e19, f32::MAX] {
        let rows = array![[0.0], [1.0], [large], [-large]];
        let refused = kcenter(2, Metric::Euclidean).pick(&rows.view(), &[]).unwrap_err();
        assert!(matches!(refused, KCenterError::TooLong { row: 2, .. }), "{refused}");
        assert!(refused.to_string().contains("scale all rows down"), "{refused}");
        let rows = array![[1.0, 1.0], [large, -large], [-large, -large]];
        assert_eq!(kcenter(2, Metric::Cosine).pick(&rows.view(), &[]).unwrap().indices(), [0, 2]);
    }
}
