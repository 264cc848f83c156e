//! Points row by row, as products read them.

use tamis_selection::vectors::{Vectors, VectorsError};

use crate::points::Points;
use crate::product::Matrix;

/// Room for the points of some rows.
#[derive(Default)]
pub(crate) struct Block {
    numbers: Vec<f32>,
    given: Vec<f32>,
}

impl Block {
    /// The points of these rows. Neighbours that are points as they are given are lent, not copied.
    pub(crate) fn fill<'s, V: Vectors + ?Sized>(
        &'s mut self,
        points: &'s Points<'_, V>,
        rows: &[usize],
    ) -> Result<Matrix<'s, f32>, VectorsError> {
        let width = points.width();
        let neighbours = rows.windows(2).all(|pair| pair[0] + 1 == pair[1]);
        if let Some(&first) = rows.first()
            && neighbours
            && points.are_as_given()
        {
            let given = points.rows().block(first, rows.len(), &mut self.numbers)?;
            return Ok(Matrix::of_rows(given, width));
        }
        self.numbers.clear();
        self.numbers.reserve(rows.len() * width);
        for &row in rows {
            let start = self.numbers.len();
            self.numbers.extend_from_slice(points.given(row, &mut self.given)?);
            points.place(row, &mut self.numbers[start..]);
            // The number of its own that a point may have.
            self.numbers.resize(start + width, points.own_number(row));
        }
        Ok(Matrix::of_rows(&self.numbers, width))
    }
}
