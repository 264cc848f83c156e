//! Some points side by side, in the layout in which matrix products read them fastest.

use std::array::from_fn;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use crate::Rows;
use crate::points::Points;

/// Points whose numbers are turned round together.
const TILE: usize = 16;

/// Points as columns: number by number, all points beside each other. The kernels of matrix products take
/// their operands apart in this order; from rows that costs them a third of their time.
pub(crate) struct Panel {
    /// (width of a point, room).
    numbers: Array2<f32>,
    count: usize,
    /// Where rows are read to that cannot be lent, one each.
    given: Vec<Vec<f32>>,
}

impl Panel {
    /// Empty, with room for so many points.
    pub(crate) fn new(width: usize, room: usize) -> Self {
        let given = vec![Vec::new(); TILE];
        Self { numbers: Array2::zeros((width, room)), count: 0, given }
    }

    /// The points of some rows and nothing else; not more than there is room for.
    pub(crate) fn of<R: Rows + ?Sized>(points: &Points<'_, R>, rows: &[usize]) -> Self {
        let mut panel = Self::new(points.width(), rows.len());
        panel.fill(points, rows);
        panel
    }

    /// Holds the points of these rows from now on.
    pub(crate) fn fill<R: Rows + ?Sized>(&mut self, points: &Points<'_, R>, rows: &[usize]) {
        self.count = 0;
        for rows in rows.chunks(TILE) {
            self.add(points, rows);
        }
    }

    /// Adds the points of at most 16 rows.
    pub(crate) fn add<R: Rows + ?Sized>(&mut self, points: &Points<'_, R>, rows: &[usize]) {
        let (first, room) = (self.count, self.numbers.ncols());
        self.count += rows.len();
        let lent: Vec<&[f32]> = rows
            .iter()
            .zip(&mut self.given)
            .map(|(&row, scratch)| points.given(row, scratch))
            .collect();
        // Made by `zeros`, and therefore in one piece.
        let numbers = self.numbers.as_slice_mut().unwrap_or_default();
        let mut tile = [[0.0; TILE]; TILE];
        for (part, lines) in numbers.chunks_mut(TILE * room).enumerate() {
            let start = part * TILE;
            for ((point, &row), given) in tile.iter_mut().zip(rows).zip(&lent) {
                if let Some(whole) = given.get(start..).and_then(<[f32]>::first_chunk::<TILE>) {
                    *point = *whole;
                    points.place(row, start, point);
                } else {
                    // The end of the row, and the number of its own that a point may have.
                    let given = given.get(start..).unwrap_or_default();
                    *point = [points.own_number(row); TILE];
                    point[..given.len()].copy_from_slice(given);
                    points.place(row, start, &mut point[..given.len()]);
                }
            }
            let turned: [[f32; TILE]; TILE] =
                from_fn(|number| from_fn(|point| tile[point][number]));
            for (line, numbers) in lines.chunks_exact_mut(room).zip(&turned) {
                let line = &mut line[first..first + rows.len()];
                match line.first_chunk_mut::<TILE>() {
                    Some(line) => *line = *numbers,
                    None => line.copy_from_slice(&numbers[..line.len()]),
                }
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// (width of a point, points).
    pub(crate) fn view(&self) -> ArrayView2<'_, f32> {
        self.numbers.slice(s![.., ..self.count])
    }

    /// Some of the points.
    pub(crate) fn part(&self, first: usize, last: usize) -> ArrayView2<'_, f32> {
        self.numbers.slice(s![.., first..last])
    }
}

/// Products of points with points: aᵀ b.
pub(crate) fn multiply(
    a: ArrayView2<'_, f32>,
    b: ArrayView2<'_, f32>,
    into: &mut ArrayViewMut2<'_, f32>,
) {
    general_mat_mul(1.0, &a.t(), &b, 0.0, into);
}
