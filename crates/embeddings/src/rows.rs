//! Embeddings as the rows that selection works on.

use tamis_selection::vectors::{Vectors, VectorsError};

use crate::Embeddings;

impl Vectors for Embeddings {
    fn len(&self) -> usize {
        self.len()
    }

    fn width(&self) -> usize {
        self.columns()
    }

    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError> {
        Ok(self.block(first, count, scratch))
    }
}
