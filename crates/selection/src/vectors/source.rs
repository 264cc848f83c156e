//! Where rows of numbers come from.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Rows of f32 numbers, one a point, wherever they are: in memory, mapped from a file, or read from a disk as
/// they are asked for.
///
/// Whoever works on them asks for some hundred rows at a time, from several threads, and keeps none of them.
pub trait Vectors: Sync {
    /// How many rows there are.
    fn len(&self) -> usize;

    /// How many numbers a row has.
    fn width(&self) -> usize;

    /// `count` rows from `first` on, `count × width` numbers row by row: lent where they lie so already,
    /// otherwise written into `scratch`, whatever it holds.
    ///
    /// `first + count` is at most [`len`](Self::len).
    ///
    /// # Errors
    /// Rows that cannot be read any more. Rows in memory always can.
    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError>;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V: Vectors + ?Sized> Vectors for &V {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn width(&self) -> usize {
        (**self).width()
    }

    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError> {
        (**self).block(first, count, scratch)
    }
}

/// Why rows could not be read. Its text is that of the error within; two of the same text are equal.
#[derive(Clone, Debug)]
pub struct VectorsError(Arc<dyn Error + Send + Sync>);

impl VectorsError {
    /// Of an error or a text.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(Arc::from(error.into()))
    }
}

impl fmt::Display for VectorsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for VectorsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl PartialEq for VectorsError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}
