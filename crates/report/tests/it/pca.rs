//! Principal components against a dense singular value decomposition.

use nalgebra::DMatrix;
use proptest::prelude::*;
use tamis_report::{Plane, ReportError};
use tamis_selection::vectors::ndarray::ArrayView2;
use tamis_selection::vectors::{Subset, Vectors};

fn matrix_of(rows: &[f32], width: usize) -> ArrayView2<'_, f32> {
    ArrayView2::from_shape((rows.len() / width, width), rows).unwrap()
}

fn principal_plane(rows: &[f32], width: usize) -> Result<Plane, ReportError> {
    tamis_report::principal_plane(&matrix_of(rows, width))
}

fn pca_2d(rows: &[f32], width: usize) -> Result<Vec<[f64; 2]>, ReportError> {
    tamis_report::pca_2d(&matrix_of(rows, width))
}

/// Repeatable noise in (-1, 1) that has nothing to do with the crate's own.
fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2) + 1;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(99_991);
            (state >> 11) as f64 / 4_503_599_627_370_496.0 - 1.0
        })
        .collect()
}

/// n × d with columns of falling size, rotated so that no axis is a column, and an offset.
fn matrix(n: usize, d: usize, seed: u64) -> Vec<f32> {
    let sources = d.min(12);
    let left = noise(seed, n * sources);
    let right = noise(seed + 1, sources * d);
    let mut rows = vec![0.0; n * d];
    for i in 0..n {
        for j in 0..d {
            let sum: f64 = (0..sources)
                .map(|k| left[i * sources + k] * right[k * d + j] * 0.6_f64.powi(k as i32))
                .sum();
            rows[i * d + j] = (sum + 3.0) as f32;
        }
    }
    rows
}

/// Coordinates and shares by nalgebra's SVD of the centred matrix, signs by the same rule.
fn by_svd(rows: &[f32], d: usize) -> (Vec<[f64; 2]>, [f64; 2]) {
    let n = rows.len() / d;
    let mut x = DMatrix::from_fn(n, d, |i, j| f64::from(rows[i * d + j]));
    for mut column in x.column_iter_mut() {
        let mean = column.mean();
        column.add_scalar_mut(-mean);
    }
    let svd = x.clone().svd(false, true);
    let v_t = svd.v_t.unwrap();
    let mut order: Vec<usize> = (0..svd.singular_values.len()).collect();
    order.sort_by(|&a, &b| svd.singular_values[b].total_cmp(&svd.singular_values[a]));
    let total: f64 = svd.singular_values.iter().map(|s| s * s).sum();
    let mut points = vec![[0.0; 2]; n];
    let mut shares = [0.0; 2];
    for (side, &k) in order.iter().take(2).enumerate() {
        let axis = v_t.row(k).transpose();
        let sign = axis[axis.iamax()].signum();
        let along = &x * axis * sign;
        for i in 0..n {
            points[i][side] = along[i];
        }
        shares[side] = svd.singular_values[k].powi(2) / total;
    }
    (points, shares)
}

fn assert_equal_to_svd(rows: &[f32], d: usize, tolerance: f64) {
    let (expected, shares) = by_svd(rows, d);
    let plane = principal_plane(rows, d).unwrap();
    let size = expected.iter().flatten().fold(0.0_f64, |m, v| m.max(v.abs()));
    for (row, (found, expected)) in plane.points.iter().zip(&expected).enumerate() {
        for side in 0..2 {
            let gap = (found[side] - expected[side]).abs() / size;
            assert!(gap < tolerance, "row {row} side {side}: {found:?} {expected:?}");
        }
    }
    for (found, expected) in plane.explained.iter().zip(shares) {
        assert!((found - expected).abs() < 1e-8);
    }
    assert_eq!(pca_2d(rows, d).unwrap(), plane.points);
}

#[test]
fn equals_the_singular_value_decomposition() {
    for (n, d) in [(40, 7), (300, 50), (30, 200), (9, 3), (5, 2), (500, 8), (3, 100)] {
        assert_equal_to_svd(&matrix(n, d, (n + d) as u64), d, 1e-5);
    }
}

#[test]
fn tiny_and_constant_matrices() {
    assert_eq!(pca_2d(&[], 4).unwrap(), Vec::<[f64; 2]>::new());
    assert_eq!(pca_2d(&[1.0, 2.0, 3.0], 3).unwrap(), [[0.0; 2]]);
    assert_eq!(principal_plane(&[7.5; 12], 3).unwrap().explained, [0.0; 2]);
    // One column: the first axis is the column itself, the second nothing.
    let plane = principal_plane(&[1.0, 2.0, 6.0], 1).unwrap();
    for (point, expected) in plane.points.iter().zip([-2.0, -1.0, 3.0]) {
        assert!((point[0] - expected).abs() < 1e-12 && point[1] == 0.0, "{plane:?}");
    }
    assert!((plane.explained[0] - 1.0).abs() < 1e-12);
    // Two rows lie on a line.
    let plane = principal_plane(&[0.0, 0.0, 3.0, 4.0], 2).unwrap();
    assert!((plane.points[1][0] - 2.5).abs() < 1e-12 && plane.points[1][1].abs() < 1e-12);
    // The extremes of f32.
    let plane = principal_plane(&[f32::MAX, f32::MIN, f32::MIN, f32::MAX], 2).unwrap();
    assert!(plane.points.iter().flatten().all(|v| v.is_finite()));
}

#[test]
fn bad_matrices_are_refused() {
    let none = ArrayView2::from_shape((5, 0), &[]).unwrap();
    let refused = tamis_report::pca_2d(&none);
    assert!(matches!(refused, Err(ReportError::Mismatch { .. })));
    let message = pca_2d(&[1.0, 2.0, 3.0, f32::NAN], 2).unwrap_err().to_string();
    assert!(message.contains("row 1, column 1"), "{message}");
}

#[test]
fn rows_that_are_copied_together_give_the_same_plane() {
    let rows = matrix(90, 30, 3);
    let (whole, expected) = (matrix_of(&rows, 30), principal_plane(&rows, 30).unwrap());
    // Every row stands twice, and only its first place is asked for.
    let twice: Vec<f32> = rows.chunks(30).flat_map(|row| [row, row].concat()).collect();
    let positions: Vec<usize> = (0..90).map(|row| 2 * row).collect();
    let twice = matrix_of(&twice, 30);
    let some = Subset::new(&twice, &positions).unwrap();
    assert_eq!([some.len(), some.width()], [whole.nrows(), 30]);
    assert_eq!(tamis_report::principal_plane(&some).unwrap(), expected);
}

#[test]
fn wide_and_flat_matrices_end() {
    // No direction stands out: nothing converges, and the answer still must hold its share.
    let (n, d) = (80, 1_000);
    let rows: Vec<f32> = noise(5, n * d).into_iter().map(|v| v as f32).collect();
    let plane = principal_plane(&rows, d).unwrap();
    let (_, shares) = by_svd(&rows, d);
    assert!(plane.explained[0] > 0.97 * shares[0], "{:?} {shares:?}", plane.explained);
    assert_eq!(plane, principal_plane(&rows, d).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Moving all rows by the same vector, or adding the rows once more, changes no view.
    #[test]
    fn views_do_not_depend_on_the_origin(seed in 0_u64..1000, n in 4_usize..40, d in 2_usize..20) {
        let rows = matrix(n, d, seed);
        let moved: Vec<f32> = rows.iter().enumerate().map(|(i, v)| v + (i % d) as f32).collect();
        let (a, b) = (principal_plane(&rows, d).unwrap(), principal_plane(&moved, d).unwrap());
        // Shares are unique even where axes are not.
        for side in 0..2 {
            prop_assert!((a.explained[side] - b.explained[side]).abs() < 1e-4);
        }
        // The plane's coordinates are uncorrelated and centred.
        for points in [&a.points, &b.points] {
            let scale: f64 = points.iter().map(|p| p[0] * p[0]).sum();
            let cross: f64 = points.iter().map(|p| p[0] * p[1]).sum();
            let sum: f64 = points.iter().map(|p| p[0]).sum();
            prop_assert!(cross.abs() <= 1e-6 * scale && sum.abs() <= 1e-6 * (1.0 + scale));
        }
    }
}
