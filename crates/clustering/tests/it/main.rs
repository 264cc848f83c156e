//! The one integration test binary of `tamis-clustering`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod input;
mod invariance;
mod resample;
mod seeding;
mod witnesses;

use ndarray::Array2;
use tamis_selection::vectors::ndarray;

/// Repeatable numbers, uniform in -1..1, whole multiples of 2⁻¹⁰.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 53) as f32 - 1024.0) / 1024.0
    }
}

/// Rows around `centers` centres; all coordinates are multiples of 2⁻¹⁰.
fn blobs(rows: usize, columns: usize, centers: usize, spread: f32, seed: u64) -> Array2<f32> {
    let mut numbers = Numbers(seed);
    let centers = Array2::from_shape_simple_fn((centers, columns), || 8.0 * numbers.next());
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        centers[[row % centers.nrows(), column]] + spread * numbers.next()
    })
}
