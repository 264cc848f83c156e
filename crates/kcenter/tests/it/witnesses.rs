//! Two witnesses of greedy k-center: the plain loop, and numbers of scikit-learn and numpy.

use proptest::prelude::*;
use tamis_kcenter::Metric;
use tamis_selection::vectors::ndarray::{Array2, Axis, concatenate, s};

use crate::{Numbers, assert_as_plain, blobs};

const METRICS: [Metric; 2] = [Metric::Euclidean, Metric::Cosine];

#[test]
fn as_a_plain_loop() {
    for metric in METRICS {
        // Sizes below, at and beyond a block of 256 rows; widths on and off the lanes; rounds of one pick
        // (many clusters far apart) and of hundreds (one cluster).
        for (rows, columns, clusters, budget) in [
            (30, 1, 2, 12),
            (256, 8, 5, 100),
            (700, 19, 11, 300),
            (513, 70, 4, 513 - 3),
            (900, 3, 200, 400),
            (2500, 33, 1, 700),
            (2500, 16, 60, 120),
        ] {
            let columns = if metric == Metric::Cosine { columns + 1 } else { columns };
            let rows = blobs(rows, columns, clusters, 6.0, columns as u64);
            assert_as_plain(rows.view(), metric, budget, &[]);
            assert_as_plain(rows.view(), metric, budget, &[5, 29, 0]);
        }
    }
}

#[test]
fn more_centers_than_a_product_holds() {
    let rows = blobs(1500, 12, 3, 2.0, 4);
    let initial: Vec<usize> = (0..1100).map(|row| row * 7 % 1500).collect();
    for metric in METRICS {
        assert_as_plain(rows.view(), metric, 300, &initial);
    }
}

/// Rows of the kinds that products in f32 cannot tell apart.
fn close_rows(kind: usize, count: usize, columns: usize, seed: u64) -> Array2<f32> {
    let mut numbers = Numbers(seed);
    let mut rows = blobs(count, columns, 3, 4.0, seed);
    match kind {
        // Exact duplicates: every row is one of a few.
        0 => {
            for row in 5.min(count)..count {
                let of = rows.row(numbers.below(5)).to_owned();
                rows.row_mut(row).assign(&of);
            }
        }
        // Near-duplicates: coordinates apart by a few 2⁻¹⁸, so that f64 sums are exact still.
        1 => {
            for row in 4.min(count)..count {
                let of = rows.row(numbers.below(4)).to_owned();
                rows.row_mut(row).assign(&of);
                let column = numbers.below(columns);
                rows[[row, column]] += (numbers.below(9) as f32 - 4.0) / 262_144.0;
            }
        }
        // Rows of zeros among others.
        2 => {
            for row in (0..count).step_by(3) {
                rows.row_mut(row).fill(0.0);
            }
        }
        // Far from the origin.
        3 => rows += 4096.0,
        // On a coarse grid: many equal distances.
        _ => rows.mapv_inplace(f32::round),
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn rows_hard_to_tell_apart(
        kind in 0_usize..5,
        count in 2_usize..400,
        columns in 1_usize..24,
        share in 0.0..1.0_f64,
        first in proptest::option::of(any::<prop::sample::Index>()),
        seed in any::<u64>(),
    ) {
        let rows = close_rows(kind, count, columns, seed);
        let initial: Vec<usize> = first.map(|first| first.index(count)).into_iter().collect();
        let budget = 1 + (share * (count - 1 - initial.len()) as f64) as usize;
        assert_as_plain(rows.view(), Metric::Euclidean, budget, &initial);
    }

    /// Directions made of rows times powers of two are equal in f64 too.
    #[test]
    fn directions_hard_to_tell_apart(
        kind in 0_usize..5,
        count in 2_usize..300,
        columns in 2_usize..24,
        share in 0.0..1.0_f64,
        seed in any::<u64>(),
    ) {
        let mut rows = close_rows(kind, count, columns, seed);
        let budget = 1 + (share * (count - 1) as f64) as usize;
        for (row, mut numbers) in rows.rows_mut().into_iter().enumerate() {
            numbers *= 2_f32.powi(row as i32 % 60 - 30);
        }
        let found = crate::pick(rows.view(), Metric::Cosine, budget, &[]);
        let (picks, _) = crate::plain_loop(rows.view(), Metric::Cosine, budget, &[]);
        // Unit vectors are rounded: distances that are equal on paper differ by rounding, as the
        // order of a sum has it. Then the pick must be as far, but need not be the same; from there on the two
        // may go different ways.
        for (found, expected) in found.picks.iter().zip(&picks) {
            let radius = found.radius.unwrap_or(f64::INFINITY);
            if found.index != expected.0 {
                prop_assert!((radius - expected.1).abs() <= 1e-14 * expected.1 + 1e-28, "{} {}", radius, expected.1);
                break;
            }
            prop_assert!((radius.min(9.0) - expected.1.min(9.0)).abs() <= 1e-12 * expected.1 + 1e-28);
        }
    }
}

#[test]
fn pools_of_near_duplicates() {
    // The trap of the Gram identity: most rows are one row and rounding, a few are elsewhere.
    let one = blobs(1, 64, 1, 30.0, 9);
    let mut numbers = Numbers(4);
    let mut rows = Array2::from_shape_fn((1200, 64), |(_, column)| {
        one[[0, column]] + (numbers.below(3) as f32 - 1.0) / 131_072.0
    });
    for row in [17, 400, 999] {
        rows.row_mut(row).mapv_inplace(|x| x + 2.0);
    }
    for metric in METRICS {
        let found = crate::pick(rows.view(), metric, 4, &[1]);
        let (picks, _) = crate::plain_loop(rows.view(), metric, 4, &[1]);
        let order: Vec<usize> = picks.iter().map(|pick| pick.0).collect();
        assert_eq!(found.indices(), order);
        assert!([17, 400, 999].contains(&found.picks[0].index));
    }
    assert_as_plain(rows.view(), Metric::Euclidean, 300, &[]);
}

#[test]
fn equal_rows_go_by_number() {
    let two = blobs(2, 5, 1, 1.0, 3);
    let rows = concatenate(Axis(0), &[two.view(); 200]).unwrap();
    let found = crate::pick(rows.view(), Metric::Euclidean, 400, &[]);
    assert_eq!(found.indices()[..4], [0, 1, 2, 3]);
    assert_eq!(found.indices(), (0..400).collect::<Vec<_>>());
    assert!(found.picks[2..].iter().all(|pick| pick.radius == Some(0.0)));
    assert!(found.nearest.iter().all(|&distance| distance == 0.0));
    assert_eq!(found.coverage[1..], [0.0; 399]);
}

#[test]
fn rows_of_zeros_have_a_place() {
    let mut rows = blobs(40, 6, 2, 3.0, 8);
    rows.slice_mut(s![10..14, ..]).fill(0.0);
    for metric in METRICS {
        assert_as_plain(rows.view(), metric, 36, &[]);
        // All zeros.
        assert_as_plain(Array2::zeros((7, 3)).view(), metric, 7, &[]);
    }
    // One is 1 away from every direction, and one is enough for all.
    let found = crate::pick(rows.view(), Metric::Cosine, 39, &[10]);
    assert!(found.picks.iter().position(|pick| pick.index == 11).unwrap() >= 36);
}

#[test]
fn sizes_at_the_ends_of_f32() {
    for (scale, metric) in [
        (1e-30, Metric::Euclidean),
        (1e17, Metric::Euclidean),
        (1e-41, Metric::Cosine),
        (1e37, Metric::Cosine),
    ] {
        let rows = blobs(300, 7, 5, 8.0, 2) * scale;
        assert_as_plain(rows.view(), metric, 50, &[]);
    }
}
