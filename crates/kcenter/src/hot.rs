//! Picks among a few rows that are up to date, as long as these are provably the farthest of all.
//!
//! One product of the rows with themselves tells what each pick does to the others.

use rayon::prelude::*;
use tamis_selection::vectors::{Vectors, VectorsError};

use crate::Pick;
use crate::block::Block;
use crate::far::{Far, farthest};
use crate::known::Known;
use crate::product::multiply;

/// Rows of a product per task.
const TASK: usize = 64;

/// Rows to pick from.
pub(crate) struct Hot {
    live: Vec<Live>,
    /// Products of all with all, row by row.
    dots: Vec<f32>,
    /// How many there are.
    count: usize,
}

/// A row that may still be picked.
struct Live {
    far: Far,
    /// Its row and column in the products.
    place: usize,
}

impl Hot {
    pub(crate) fn new<V: Vectors + ?Sized, W: FnMut(&Pick)>(
        known: &Known<'_, V, W>,
        top: &[Far],
    ) -> Result<Self, VectorsError> {
        let rows: Vec<usize> = top.iter().map(|far| far.row).collect();
        let (mut block, count) = (Block::default(), rows.len());
        let points = block.fill(&known.points, &rows)?;
        let mut dots = vec![0.0; count * count];
        dots.par_chunks_mut(TASK * count).enumerate().for_each(|(task, dots)| {
            let first = task * TASK;
            let some = points.rows(first..count.min(first + TASK));
            multiply(some, points.turned(), dots);
        });
        let live = top.iter().enumerate().map(|(place, &far)| Live { far, place }).collect();
        Ok(Self { live, dots, count })
    }

    /// Picks until another row might be farther or the budget is full; how many were picked.
    pub(crate) fn run<V: Vectors + ?Sized, W: FnMut(&Pick)>(
        mut self,
        known: &mut Known<'_, V, W>,
        outside: Option<Far>,
    ) -> Result<usize, VectorsError> {
        let mut picked = 0;
        let mut scratch = Vec::new();
        while known.left() > 0 {
            let Some(best) = farthest(self.live.iter().map(|live| live.far)) else { break };
            if !best.beats(outside.as_ref()) {
                break;
            }
            let Some(at) = self.live.iter().position(|live| live.far.row == best.row) else {
                break;
            };
            let place = self.live.swap_remove(at).place;
            let center = known.centers.len();
            known.pick(best)?;
            picked += 1;

            let dots = &self.dots[place * self.count..(place + 1) * self.count];
            for live in &mut self.live {
                let Far { value, row } = live.far;
                let square = known.points.square(row);
                let score = known.centers.score(center, dots[live.place]);
                let error = known.centers.error(known.points.width(), square);
                if f64::from(score) < value - square / 2.0 + error {
                    let given = known.points.given(row, &mut scratch)?;
                    let given = (given, known.points.scale(row));
                    let half_square = known.centers.half_square(&known.points, given, center);
                    live.far.value = value.min(half_square);
                }
            }
            // Those that cannot be picked in this round any more miss the picks from here on.
            self.live.retain(|live| {
                let stays = live.far.beats(outside.as_ref());
                if !stays {
                    known.note(live.far);
                }
                stays
            });
        }
        for live in &self.live {
            known.note(live.far);
        }
        Ok(picked)
    }
}
