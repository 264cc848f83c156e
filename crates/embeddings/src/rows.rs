//! Embeddings as the rows that selection works on.

use tamis_kcenter::Rows;

use crate::Embeddings;

impl Rows for Embeddings {
    fn len(&self) -> usize {
        self.len()
    }

    fn columns(&self) -> usize {
        self.columns()
    }

    fn block<'a>(&'a self, first: usize, count: usize, scratch: &'a mut Vec<f32>) -> &'a [f32] {
        self.block(first, count, scratch)
    }
}
