//! Tests of tamis-kcenter.
#![allow(clippy::unwrap_used, clippy::panic)]

mod device;
mod facility;
mod input;
mod invariance;
mod selectors;
mod statistics;
mod witnesses;

use tamis_kcenter::{KCenterParams, Metric, Picks};
use tamis_selection::vectors::ndarray::{Array2, ArrayView2};

/// Numbers from a fixed rule; f32 multiples of 2⁻¹⁰ in (-1, 1), so that sums of their products are
/// exact in f64 in any order.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 53) as f32 - 1024.0) / 1024.0
    }

    fn below(&mut self, bound: usize) -> usize {
        ((0.5 + 0.5 * f64::from(self.next())) * bound as f64) as usize
    }
}

/// Rows around some centres, the centres so many times as far apart as the rows of one.
fn blobs(rows: usize, columns: usize, centers: usize, apart: f32, seed: u64) -> Array2<f32> {
    let mut numbers = Numbers(seed);
    let middles = Array2::from_shape_simple_fn((centers, columns), || apart * numbers.next());
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        middles[[row * 7 % centers, column]] + numbers.next()
    })
}

fn pick(rows: ArrayView2<'_, f32>, metric: Metric, budget: usize, initial: &[usize]) -> Picks {
    KCenterParams { budget, metric }.check().unwrap().pick(&rows, initial).unwrap()
}

/// Greedy k-center as the definition has it: f64 differences, one pick after the other, all rows each
/// time. Row numbers and radii (of the first without initial rows: infinity).
fn plain_loop(
    rows: ArrayView2<'_, f32>,
    metric: Metric,
    budget: usize,
    initial: &[usize],
) -> (Vec<(usize, f64)>, Vec<f64>) {
    let points: Vec<Vec<f64>> = rows
        .rows()
        .into_iter()
        .map(|row| {
            let row: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
            let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
            let length = if metric == Metric::Cosine && length > 0.0 { length } else { 1.0 };
            row.iter().map(|x| x * length.recip()).collect()
        })
        .collect();
    let zero = |point: &[f64]| point.iter().all(|&x| x == 0.0);
    // Compared before the root is taken: it may make unequal distances equal.
    let distance = |a: &[f64], b: &[f64]| -> f64 {
        let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        match metric {
            Metric::Euclidean => square,
            Metric::Cosine if zero(a) != zero(b) => 1.0,
            Metric::Cosine => square / 2.0,
        }
    };
    let mut nearest = vec![f64::INFINITY; points.len()];
    let mut chosen = vec![false; points.len()];
    let mut picks = Vec::new();
    for step in 0..initial.len() + budget {
        let row = if step < initial.len() {
            initial[step]
        } else {
            let mut best = None;
            for row in 0..points.len() {
                if !chosen[row] && best.is_none_or(|best: usize| nearest[row] > nearest[best]) {
                    best = Some(row);
                }
            }
            picks.push((best.unwrap(), nearest[best.unwrap()]));
            best.unwrap()
        };
        chosen[row] = true;
        for other in 0..points.len() {
            nearest[other] = nearest[other].min(distance(&points[row], &points[other]));
        }
        nearest[row] = 0.0;
    }
    if metric == Metric::Euclidean {
        for square in picks.iter_mut().map(|pick| &mut pick.1).chain(&mut nearest) {
            *square = square.sqrt();
        }
    }
    (picks, nearest)
}

/// Compares with the plain loop: the order exactly, distances to f64 rounding.
fn assert_as_plain(rows: ArrayView2<'_, f32>, metric: Metric, budget: usize, initial: &[usize]) {
    let found = pick(rows, metric, budget, initial);
    let (picks, nearest) = plain_loop(rows, metric, budget, initial);
    let order: Vec<usize> = picks.iter().map(|pick| pick.0).collect();
    let case = format!("{metric} {:?} {budget} {initial:?}", rows.dim());
    assert_eq!(found.indices(), order, "{case}");
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.max(b) + 1e-30;
    for (step, (found, expected)) in found.picks.iter().zip(&picks).enumerate() {
        match found.radius {
            Some(radius) => {
                assert!(close(radius, expected.1), "{case} {step}: {radius} {expected:?}");
            }
            None => assert!(step == 0 && initial.is_empty(), "{case} {step}"),
        }
    }
    for (row, (&found, &expected)) in found.nearest.iter().zip(&nearest).enumerate() {
        assert!(close(found, expected), "{case} row {row}: {found} {expected}");
    }
    assert_eq!(found.coverage.len(), budget);
    for (step, &radius) in found.coverage.iter().enumerate() {
        let expected = picks
            .get(step + 1)
            .map_or_else(|| nearest.iter().copied().fold(0.0, f64::max), |pick| pick.1);
        assert!(close(radius, expected), "{case} {step}: {radius} {expected}");
    }
}
