//! Products of matrices: the one place that hands pointers to the library that multiplies.
#![allow(unsafe_code)] // the library takes pointers and strides

use std::ops::Range;

use gemm::Parallelism;

/// What can be multiplied.
pub(crate) trait Number: Copy + 'static {
    const ONE: Self;
}

impl Number for f32 {
    const ONE: Self = 1.0;
}

impl Number for f64 {
    const ONE: Self = 1.0;
}

/// A matrix to be multiplied, its rows one after the other, or its columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, T> {
    numbers: &'a [T],
    rows: usize,
    columns: usize,
    /// Numbers from one row, and from one column, to the next.
    steps: (usize, usize),
}

impl<'a, T> Matrix<'a, T> {
    /// Rows of at least one number each, one after the other.
    pub(crate) fn of_rows(numbers: &'a [T], columns: usize) -> Self {
        Self { numbers, rows: numbers.len() / columns, columns, steps: (columns, 1) }
    }

    /// Some of the rows.
    pub(crate) fn rows(self, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.rows);
        let numbers = self.numbers.get(range.start * self.steps.0..).unwrap_or_default();
        Self { numbers, rows: range.len(), ..self }
    }

    /// Some of the columns.
    pub(crate) fn columns(self, range: Range<usize>) -> Self {
        self.turned().rows(range).turned()
    }

    /// All numbers of a matrix made [of rows](Self::of_rows).
    pub(crate) fn numbers(self) -> &'a [T] {
        self.numbers
    }

    /// Rows become columns.
    pub(crate) fn turned(self) -> Self {
        let (rows, columns) = (self.columns, self.rows);
        Self { rows, columns, steps: (self.steps.1, self.steps.0), ..self }
    }
}

/// The rows of the product of two matrices, in place of what `into` holds.
///
/// Every number is a sum of as many products as the matrices share numbers, in an order that is the library's.
pub(crate) fn multiply<T: Number>(a: Matrix<'_, T>, b: Matrix<'_, T>, into: &mut [T]) {
    call(a, b, into, false);
}

/// As [`multiply`], added to what `into` holds.
pub(crate) fn add_product<T: Number>(a: Matrix<'_, T>, b: Matrix<'_, T>, into: &mut [T]) {
    call(a, b, into, true);
}

fn call<T: Number>(a: Matrix<'_, T>, b: Matrix<'_, T>, into: &mut [T], add: bool) {
    assert_eq!(a.columns, b.rows, "matrices that do not go together");
    assert_eq!(Some(into.len()), a.rows.checked_mul(b.columns), "a product of another size");
    for matrix in [&a, &b] {
        let reach = |count: usize, step: usize| count.saturating_sub(1).checked_mul(step);
        let (down, along) =
            (reach(matrix.rows, matrix.steps.0), reach(matrix.columns, matrix.steps.1));
        let last = down.zip(along).and_then(|(down, along)| down.checked_add(along));
        let empty = matrix.rows == 0 || matrix.columns == 0;
        assert!(empty || last.is_some_and(|last| last < matrix.numbers.len()), "{last:?}");
    }
    let step = |step: usize| step as isize;
    // SAFETY: as asserted, every number of `a` and `b` that the shapes and steps reach lies in their slices,
    // and `into` has as many as the product, row by row; it is borrowed mutably, so that it overlaps with
    // neither. `T` is f32 or f64, which the library multiplies.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            into.as_mut_ptr(),
            1,
            step(b.columns),
            add,
            a.numbers.as_ptr(),
            step(a.steps.1),
            step(a.steps.0),
            b.numbers.as_ptr(),
            step(b.steps.1),
            step(b.steps.0),
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Matrix, add_product, multiply};
    use crate::centers::product_error;

    /// Numbers of many sizes and both signs, so that sums in f32 are rounded much.
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next() * (8.0 * next()).exp2()).collect()
    }

    #[test]
    fn products_keep_within_the_bound() {
        for (rows, columns, shared) in [
            (1, 1, 1),
            (1, 9, 3),
            (7, 1, 40),
            (33, 17, 1),
            (33, 17, 2),
            (5, 64, 385),
            (256, 100, 384),
            (64, 130, 1300),
            (17, 3, 4000),
        ] {
            let (a, b) = (numbers(rows * shared, 3), numbers(columns * shared, 5));
            // Both ways in which points are laid out, with room behind the columns of the latter.
            let room = columns + 3;
            let mut turned = vec![f32::NAN; room * shared];
            for (place, &number) in b.iter().enumerate() {
                turned[place % shared * room + place / shared] = number;
            }
            let given = Matrix::of_rows(&b, shared).turned();
            let panel = Matrix::of_rows(&turned, room).columns(0..columns);
            for other in [given, panel] {
                let mut product = vec![f32::NAN; rows * columns];
                multiply(Matrix::of_rows(&a, shared), other, &mut product);
                for (place, &found) in product.iter().enumerate() {
                    let a = &a[place / columns * shared..][..shared];
                    let b = &b[place % columns * shared..][..shared];
                    let term = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(*b);
                    let expected: f64 = a.iter().zip(b).map(term).sum();
                    let length =
                        |x: &[f32]| x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
                    let bound = product_error(shared) * length(a) * length(b);
                    let off = (f64::from(found) - expected).abs();
                    assert!(off <= bound, "{rows} {columns} {shared} {place}: {off} {bound}");
                }
            }
        }
    }

    #[test]
    fn products_are_added() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0_f64];
        let (a, mut into) = (Matrix::of_rows(&a, 3), [0.5, 0.0, 1.0, 0.0]);
        add_product(a, a.turned(), &mut into);
        assert_eq!(into.map(f64::to_bits), [14.5, 32.0, 33.0, 77.0].map(f64::to_bits));
        let mut part = [0.0; 2];
        multiply(a.rows(1..2), a.turned(), &mut part);
        assert_eq!(part.map(f64::to_bits), [32.0, 77.0].map(f64::to_bits));
        multiply(a.rows(2..2), a.turned(), &mut []);
    }

    #[test]
    #[should_panic(expected = "do not go together")]
    fn other_shapes_are_refused() {
        let a = [1.0_f32; 6];
        multiply(Matrix::of_rows(&a, 3), Matrix::of_rows(&a, 3), &mut [0.0; 6]);
    }
}
