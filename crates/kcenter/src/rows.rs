//! Where rows come from.

use ndarray::{ArrayView2, s};

/// Rows of f32 numbers, one a point, wherever they are: in memory, or mapped from a file larger than
/// the memory.
///
/// Everything here asks for some hundred rows at a time, from several threads, and keeps none of them.
/// [`ArrayView2`] is an implementation; so is a mapped file that lends its own bytes:
///
/// ```
/// use tamis_kcenter::Rows;
///
/// struct Mapped<'m> { numbers: &'m [f32], columns: usize }
///
/// impl Rows for Mapped<'_> {
///     fn len(&self) -> usize { self.numbers.len() / self.columns }
///     fn columns(&self) -> usize { self.columns }
///     fn block<'a>(&'a self, first: usize, count: usize, _: &'a mut Vec<f32>) -> &'a [f32] {
///         &self.numbers[first * self.columns..(first + count) * self.columns]
///     }
/// }
/// # let rows = Mapped { numbers: &[0.0; 6], columns: 2 };
/// # assert_eq!(rows.block(1, 2, &mut Vec::new()).len(), 4);
/// ```
pub trait Rows: Sync {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// How many numbers a row has.
    fn columns(&self) -> usize;

    /// `count` rows from `first` on, `count × columns` numbers row by row: lent where they lie so
    /// already, otherwise copied into `scratch`.
    ///
    /// `first + count` is at most [`len`](Self::len).
    fn block<'a>(&'a self, first: usize, count: usize, scratch: &'a mut Vec<f32>) -> &'a [f32];

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Rows for ArrayView2<'_, f32> {
    fn len(&self) -> usize {
        self.nrows()
    }

    fn columns(&self) -> usize {
        self.ncols()
    }

    fn block<'a>(&'a self, first: usize, count: usize, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        if let Some(all) = self.as_slice() {
            let columns = self.ncols();
            return &all[first * columns..(first + count) * columns];
        }
        scratch.clear();
        scratch.extend(self.slice(s![first..first + count, ..]).iter());
        scratch
    }
}
