//! Rows that say again what another one said.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::prelude::*;
use tamis_selection::vectors::{Vectors, VectorsError};

use crate::block::Block;
use crate::points::{BLOCK, Points};
use crate::product::multiply;

/// How many of the chosen rows repeat one before them.
pub(crate) struct Duplicates {
    pub(crate) exact: usize,
    pub(crate) near: usize,
}

impl Duplicates {
    /// `near` is the largest distance, one minus the cosine, of near-duplicates.
    pub(crate) fn count<V: Vectors + ?Sized>(
        points: &Points<'_, V>,
        chosen: &[usize],
        near: f64,
    ) -> Result<Self, VectorsError> {
        let repeats = repeats(points, chosen)?;
        let near = repeats_nearly(points, chosen, near)?;
        Ok(Self {
            exact: repeats.iter().filter(|&&repeat| repeat).count(),
            near: repeats.iter().zip(near).filter(|&(&repeat, near)| repeat || near).count(),
        })
    }
}

/// For each chosen row: whether it equals a row before it.
fn repeats<V: Vectors + ?Sized>(
    points: &Points<'_, V>,
    chosen: &[usize],
) -> Result<Vec<bool>, VectorsError> {
    // By hashes of the rows, which are not kept themselves.
    let mut different: HashMap<u64, Vec<usize>> = HashMap::new();
    let (mut own, mut others) = (Vec::new(), Vec::new());
    let mut repeats = |&row: &usize| {
        let given = points.given(row, &mut own)?;
        let mut hasher = DefaultHasher::new();
        for x in given {
            // Adding zero makes -0.0 equal to 0.0.
            (x + 0.0).to_bits().hash(&mut hasher);
        }
        let alike = different.entry(hasher.finish()).or_default();
        let mut repeat = false;
        for &other in &*alike {
            repeat = repeat || points.given(other, &mut others)? == given;
        }
        if !repeat {
            alike.push(row);
        }
        Ok(repeat)
    };
    chosen.iter().map(&mut repeats).collect()
}

/// For each chosen row: whether its cosine to a row before it is so high. Products are in f32: within
/// some 10⁻⁶ of the limit either may be said.
fn repeats_nearly<V: Vectors + ?Sized>(
    points: &Points<'_, V>,
    chosen: &[usize],
    near: f64,
) -> Result<Vec<bool>, VectorsError> {
    let limit = (1.0 - near - 1e-6) as f32;
    let scratch = || (Block::default(), Block::default(), vec![0.0; BLOCK * BLOCK]);
    let repeats = |scratch: &mut (Block, Block, Vec<f32>), (block, rows): (usize, &[usize])| {
        let (own, others, dots) = scratch;
        let own = own.fill(points, rows)?;
        let mut found = vec![false; rows.len()];
        for (before, earlier) in chosen.chunks(BLOCK).take(block + 1).enumerate() {
            let dots = &mut dots[..rows.len() * earlier.len()];
            multiply(own, others.fill(points, earlier)?.turned(), dots);
            let dots = dots.chunks_exact(earlier.len());
            for (place, (found, dots)) in found.iter_mut().zip(dots).enumerate() {
                let until = if before == block { place } else { earlier.len() };
                *found |= dots[..until].iter().any(|&dot| dot >= limit);
            }
        }
        Ok::<_, VectorsError>(found)
    };
    let blocks = chosen.par_chunks(BLOCK).enumerate();
    let parts: Result<Vec<Vec<bool>>, _> = blocks.map_init(scratch, repeats).collect();
    Ok(parts?.into_iter().flatten().collect())
}
