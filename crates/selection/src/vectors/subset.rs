//! Some rows of others.

use crate::vectors::source::{Vectors, VectorsError};

/// Some rows of other [`Vectors`], in any order, also several times. Nothing is copied but the blocks asked for;
/// neighbours are read together.
#[derive(Clone, Copy, Debug)]
pub struct Subset<'a, V: ?Sized> {
    of: &'a V,
    positions: &'a [usize],
}

/// A row that is asked for and is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row {row} is asked for, but there are only {rows} rows")]
pub struct NoSuchRow {
    /// Its number, from 0.
    pub row: usize,
    /// Rows there are.
    pub rows: usize,
}

impl<'a, V: Vectors + ?Sized> Subset<'a, V> {
    /// The rows at these positions, in their order.
    ///
    /// # Errors
    /// A position beyond the rows.
    pub fn new(of: &'a V, positions: &'a [usize]) -> Result<Self, NoSuchRow> {
        let rows = of.len();
        match positions.iter().find(|&&row| row >= rows) {
            Some(&row) => Err(NoSuchRow { row, rows }),
            None => Ok(Self { of, positions }),
        }
    }
}

impl<V: Vectors + ?Sized> Vectors for Subset<'_, V> {
    fn len(&self) -> usize {
        self.positions.len()
    }

    fn width(&self) -> usize {
        self.of.width()
    }

    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError> {
        let wanted = &self.positions[first..first + count];
        let mut runs = wanted.chunk_by(|a, b| a + 1 == *b).peekable();
        if let Some(run) = runs.next_if(|run| run.len() == count) {
            return self.of.block(run[0], count, scratch);
        }
        scratch.clear();
        let mut room = Vec::new();
        for run in runs {
            scratch.extend_from_slice(self.of.block(run[0], run.len(), &mut room)?);
        }
        Ok(scratch)
    }
}
