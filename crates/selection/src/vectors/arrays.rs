//! Rows that lie in memory.

use ndarray::{Array2, ArrayView2, s};

use crate::vectors::source::{Vectors, VectorsError};

impl Vectors for ArrayView2<'_, f32> {
    fn len(&self) -> usize {
        self.nrows()
    }

    fn width(&self) -> usize {
        self.ncols()
    }

    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError> {
        if let Some(all) = self.as_slice() {
            let width = self.ncols();
            return Ok(&all[first * width..(first + count) * width]);
        }
        scratch.clear();
        scratch.extend(self.slice(s![first..first + count, ..]).iter());
        Ok(scratch)
    }
}

impl Vectors for Array2<f32> {
    fn len(&self) -> usize {
        self.nrows()
    }

    fn width(&self) -> usize {
        self.ncols()
    }

    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], VectorsError> {
        if let Some(all) = self.as_slice() {
            let width = self.ncols();
            return Ok(&all[first * width..(first + count) * width]);
        }
        scratch.clear();
        scratch.extend(self.slice(s![first..first + count, ..]).iter());
        Ok(scratch)
    }
}
