//! Points in the order in which products read them, and their products.

use std::array::from_fn;
use std::ops::Range;

use crate::Rows;
use crate::kernel::{Kernel, LEFT, RIGHT};
use crate::points::Points;

/// Numbers of a point that are turned round together.
const TURNED: usize = 16;

/// Numbers of the points that are multiplied before the next ones are: so many of a block stay in the cache.
const DEPTH: usize = 768;

/// Points for the left side of products.
pub(crate) type Left = Panel<LEFT>;

/// Points for the right side of products.
pub(crate) type Right = Panel<RIGHT>;

/// Points in strips of `WIDE`: of each strip first the first numbers of all its points, then their second
/// ones, and so on.
pub(crate) struct Panel<const WIDE: usize> {
    numbers: Vec<f32>,
    /// Numbers of a point.
    width: usize,
    count: usize,
    /// Where rows are read to that cannot be lent, one each.
    given: Vec<Vec<f32>>,
}

impl<const WIDE: usize> Panel<WIDE> {
    /// Empty, with room for so many points.
    pub(crate) fn new(width: usize, room: usize) -> Self {
        let numbers = vec![0.0; room.next_multiple_of(WIDE) * width];
        Self { numbers, width, count: 0, given: vec![Vec::new(); WIDE] }
    }

    /// The points of some rows.
    pub(crate) fn of<R: Rows + ?Sized>(points: &Points<'_, R>, rows: &[usize]) -> Self {
        let mut panel = Self::new(points.width(), rows.len());
        panel.fill(points, rows);
        panel
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Holds the points of these rows from now on, not more than there is room for.
    pub(crate) fn fill<R: Rows + ?Sized>(&mut self, points: &Points<'_, R>, rows: &[usize]) {
        self.count = 0;
        for rows in rows.chunks(WIDE) {
            self.add(points, rows);
        }
    }

    /// Adds the points of rows that fit into the last strip, or into a new one if the last one is full.
    pub(crate) fn add<R: Rows + ?Sized>(&mut self, points: &Points<'_, R>, rows: &[usize]) {
        let (strip, first) = (self.count / WIDE, self.count % WIDE);
        self.count += rows.len();
        let lent: Vec<&[f32]> = rows
            .iter()
            .zip(&mut self.given)
            .map(|(&row, scratch)| points.given(row, scratch))
            .collect();
        let strip = &mut self.numbers[strip * WIDE * self.width..][..WIDE * self.width];
        let mut part = [[0.0; TURNED]; WIDE];
        for (lines, start) in strip.chunks_mut(TURNED * WIDE).zip((0..).step_by(TURNED)) {
            for ((point, &row), given) in part.iter_mut().zip(rows).zip(&lent) {
                let given = given.get(start..).unwrap_or_default();
                if let Some(whole) = given.first_chunk::<TURNED>() {
                    *point = *whole;
                    points.place(row, start, point);
                } else {
                    // The end of the row, and the number of its own that a point may have.
                    *point = [points.own_number(row); TURNED];
                    point[..given.len()].copy_from_slice(given);
                    points.place(row, start, &mut point[..given.len()]);
                }
            }
            let turned: [[f32; WIDE]; TURNED] =
                from_fn(|number| from_fn(|point| part[point][number]));
            for (line, numbers) in lines.as_chunks_mut::<WIDE>().0.iter_mut().zip(&turned) {
                if rows.len() == WIDE {
                    *line = *numbers;
                } else {
                    line[first..first + rows.len()].copy_from_slice(&numbers[..rows.len()]);
                }
            }
        }
    }

    /// The strip that the points from this one on are in; a multiple of `WIDE`.
    fn strip(&self, first: usize) -> &[f32] {
        &self.numbers[first * self.width..(first + WIDE) * self.width]
    }
}

/// Products of points with points.
pub(crate) struct Products {
    numbers: Vec<f32>,
    /// Numbers from one row to the next.
    columns: usize,
    /// Points in front of those asked for in the strip of the first of them.
    skipped: usize,
    asked: usize,
}

impl Products {
    /// Room for the products of so many points with so many.
    pub(crate) fn new(left: usize, right: usize) -> Self {
        // One strip more: those asked for may begin within one.
        let columns = right.next_multiple_of(RIGHT) + RIGHT;
        let numbers = vec![0.0; left.next_multiple_of(LEFT) * columns];
        Self { numbers, columns, skipped: 0, asked: 0 }
    }

    /// Multiplies some points with some others.
    ///
    /// The first of the left ones must be a multiple of `LEFT`.
    pub(crate) fn fill(
        &mut self,
        (left, lefts): (&Left, Range<usize>),
        (right, rights): (&Right, Range<usize>),
    ) {
        let kernel = Kernel::best();
        let start = rights.start / RIGHT * RIGHT;
        (self.skipped, self.asked) = (rights.start - start, rights.len());
        for depth in (0..left.width).step_by(DEPTH) {
            let end = left.width.min(depth + DEPTH);
            for (first, column) in (start..rights.end).step_by(RIGHT).zip((0..).step_by(RIGHT)) {
                let b = &right.strip(first)[depth * RIGHT..end * RIGHT];
                let rows = self.numbers.chunks_mut(LEFT * self.columns);
                for (rows, first) in rows.zip(lefts.clone().step_by(LEFT)) {
                    let a = &left.strip(first)[depth * LEFT..end * LEFT];
                    let mut tile = [[0.0; RIGHT]; LEFT];
                    if depth > 0 {
                        for (row, tile) in rows.chunks(self.columns).zip(&mut tile) {
                            tile.copy_from_slice(&row[column..column + RIGHT]);
                        }
                    }
                    kernel.add_products(a, b, &mut tile);
                    for (row, tile) in rows.chunks_mut(self.columns).zip(&tile) {
                        row[column..column + RIGHT].copy_from_slice(tile);
                    }
                }
            }
        }
    }

    /// Those of each left point with all right points.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.numbers.chunks(self.columns).map(|row| &row[self.skipped..self.skipped + self.asked])
    }

    /// Those of one left point.
    pub(crate) fn row(&self, left: usize) -> &[f32] {
        let start = left * self.columns + self.skipped;
        &self.numbers[start..start + self.asked]
    }
}
