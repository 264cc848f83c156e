//! Sums over the numbers of a point or two.

use std::borrow::Cow;

use tamis_selection::vectors::ndarray::ArrayView1;

/// The items of a row; copied only if they do not lie side by side.
pub(crate) fn in_one_piece(row: ArrayView1<'_, f32>) -> Cow<'_, [f32]> {
    row.to_slice().map_or_else(|| Cow::Owned(row.to_vec()), Cow::Borrowed)
}

/// Sums eight running sums: lets the compiler use vector instructions, and fixes the order.
fn sum_in_lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f64) -> f64 {
    const LANES: usize = 8;
    let (heads, tails) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = heads.remainder().iter().zip(tails.remainder());
    let rest: f64 = rest.map(|(&a, &b)| term(a, b)).sum();
    let mut sums = [0.0; LANES];
    for (a, b) in heads.zip(tails) {
        for lane in 0..LANES {
            sums[lane] += term(a[lane], b[lane]);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Squared distance of two points of the same width, in f64.
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    sum_in_lanes(a, b, |a, b| {
        let apart = f64::from(a) - f64::from(b);
        apart * apart
    })
}

/// Squared length of a point, in f64.
pub(crate) fn squared_length(point: &[f32]) -> f64 {
    sum_in_lanes(point, point, |a, b| f64::from(a) * f64::from(b))
}
