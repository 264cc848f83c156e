//! Picks over tensors beside those over rows in memory. All on the CPU: what differs elsewhere is LibTorch's.

use tamis_kcenter::{KCenter, KCenterError, KCenterParams, Metric, Picks};
use tamis_selection::vectors::ndarray::{Array2, ArrayView2, s};
use tch::{Kind, Tensor};

use crate::{blobs, pick};

const METRICS: [Metric; 2] = [Metric::Euclidean, Metric::Cosine];

fn tensor(rows: ArrayView2<'_, f32>) -> Tensor {
    let numbers: Vec<f32> = rows.iter().copied().collect();
    Tensor::from_slice(&numbers).view([rows.nrows() as i64, rows.ncols() as i64])
}

fn kcenter(metric: Metric, budget: usize) -> KCenter {
    KCenterParams { budget, metric }.check().unwrap()
}

/// The same picks, and distances to the rounding of `share` of their size.
fn assert_same(found: &Picks, expected: &Picks, share: f64) {
    assert_eq!(found.indices(), expected.indices());
    let close = |a: f64, b: f64| (a - b).abs() <= share * a.max(b) + share;
    for (found, expected) in found.picks.iter().zip(&expected.picks) {
        match (found.radius, expected.radius) {
            (Some(found), Some(expected)) => assert!(close(found, expected), "{found} {expected}"),
            (found, expected) => assert_eq!(found, expected),
        }
    }
    for (found, expected) in
        [(&found.coverage, &expected.coverage), (&found.nearest, &expected.nearest)]
    {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(&found, &expected)| close(found, expected)));
    }
}

#[test]
fn as_rows_in_memory() {
    for metric in METRICS {
        for (count, columns, clusters, budget) in
            [(40, 3, 4, 30), (700, 19, 11, 120), (900, 64, 1, 90)]
        {
            let mut rows = blobs(count, columns, clusters, 6.0, 8);
            rows.slice_mut(s![10..13, ..]).fill(0.0);
            for initial in [&[][..], &[5, 29, 0]] {
                let expected = pick(rows.view(), metric, budget, initial);
                let wide = tensor(rows.view()).to_kind(Kind::Double);
                let found = kcenter(metric, budget).pick_on_device(&wide, initial).unwrap();
                assert_same(&found, &expected, 1e-12);
                let narrow = tensor(rows.view());
                let found = kcenter(metric, budget).pick_on_device(&narrow, initial).unwrap();
                assert_same(&found, &expected, 1e-5);
                // Columns first in memory, and part of a graph.
                let turned = tensor(rows.t()).tr().set_requires_grad(true);
                let again = kcenter(metric, budget).pick_on_device(&turned, initial).unwrap();
                assert_same(&again, &expected, 1e-5);
            }
        }
    }
}

#[test]
fn near_duplicates_zeros_and_ends_of_f32() {
    // Far from the origin and close together: products would see nothing but their own rounding.
    let mut rows = Array2::from_shape_fn((60, 8), |(row, column)| {
        1000.0 + if row % 8 == column { (row / 8 + 1) as f32 / 1024.0 } else { 0.0 }
    });
    rows[[33, 2]] += 1.0;
    let found = kcenter(Metric::Euclidean, 59).pick_on_device(&tensor(rows.view()), &[0]).unwrap();
    assert_eq!(found.picks[0].index, 33);
    assert!(found.picks.iter().all(|pick| pick.radius.is_some_and(|radius| radius > 0.0)));
    // Equal rows by number, chosen ones never again.
    let equal = Tensor::ones([9, 4], (Kind::Float, tch::Device::Cpu));
    for metric in METRICS {
        let found = kcenter(metric, 8).pick_on_device(&equal, &[3]).unwrap();
        assert_eq!(found.indices(), [0, 1, 2, 4, 5, 6, 7, 8]);
        assert_eq!((found.coverage, found.nearest), (vec![0.0; 8], vec![0.0; 9]));
    }
    for scale in [1e-41, 1e-30, 1e30, 1e37] {
        let rows = blobs(50, 7, 5, 8.0, 2) * scale;
        let expected = pick(rows.view(), Metric::Cosine, 6, &[]);
        let found = kcenter(Metric::Cosine, 6).pick_on_device(&tensor(rows.view()), &[]).unwrap();
        assert_eq!(found.indices(), expected.indices(), "{scale}");
    }
    // Kinds narrower than f32 hold these numbers exactly.
    let rows =
        Array2::from_shape_fn((90, 6), |(row, column)| ((row * 37 + column * 11) % 64) as f32);
    let expected =
        kcenter(Metric::Euclidean, 20).pick_on_device(&tensor(rows.view()), &[]).unwrap();
    for kind in [Kind::Half, Kind::BFloat16] {
        let rows = tensor(rows.view()).to_kind(kind);
        assert_eq!(kcenter(Metric::Euclidean, 20).pick_on_device(&rows, &[]).unwrap(), expected);
    }
}

#[test]
fn bad_tensors_are_refused() {
    let on_cpu = |kind| (kind, tch::Device::Cpu);
    let refused = |rows: &Tensor, initial: &[usize]| {
        kcenter(Metric::Euclidean, 2).pick_on_device(rows, initial).unwrap_err()
    };
    let flat = Tensor::zeros([6], on_cpu(Kind::Float));
    assert_eq!(refused(&flat, &[]), KCenterError::Shape { found: vec![6] });
    let whole = Tensor::zeros([6, 2], on_cpu(Kind::Int64));
    assert!(refused(&whole, &[]).to_string().contains("Int64"));
    assert_eq!(refused(&Tensor::zeros([0, 2], on_cpu(Kind::Float)), &[]), KCenterError::NoRows);
    let empty = Tensor::zeros([3, 0], on_cpu(Kind::Float));
    assert_eq!(refused(&empty, &[]), KCenterError::NoColumns { rows: 3 });
    let rows = Tensor::ones([3, 2], on_cpu(Kind::Float));
    assert_eq!(refused(&rows, &[1, 2]), KCenterError::Budget { budget: 2, initial: 2, left: 1 });
    assert!(matches!(refused(&rows, &[3]), KCenterError::OutOfRange { index: 3, .. }));
    assert!(matches!(refused(&rows, &[1, 1]), KCenterError::Twice { index: 1, .. }));
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let rows = Tensor::ones([300, 3], on_cpu(Kind::Float));
        let _ = rows.get(200).get(1).fill_(value);
        let _ = rows.get(250).fill_(f64::NAN);
        for metric in METRICS {
            let refused = kcenter(metric, 2).pick_on_device(&rows, &[]).unwrap_err().to_string();
            assert!(
                refused.starts_with("row 200 holds") && refused.contains("column 1"),
                "{refused}"
            );
        }
    }
    for large in [1e19, f64::from(f32::MAX)] {
        let rows = Tensor::ones([4, 2], on_cpu(Kind::Float));
        let _ = rows.get(2).fill_(large);
        assert!(matches!(refused(&rows, &[]), KCenterError::TooLong { row: 2, .. }));
    }
}
