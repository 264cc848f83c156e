//! In which order the samples are seen.

use std::ops::Range;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

/// The order of `len` samples in epoch `epoch` (from 0): a permutation of `0..len` that depends on
/// nothing but the three arguments.
///
/// Each epoch draws from its own stream of one generator (`ChaCha8`), so an epoch's order can be
/// had without those before it.
pub fn epoch_order(len: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(epoch as u64);
    let mut order: Vec<usize> = (0..len).collect();
    order.shuffle(&mut generator);
    order
}

/// The places of an epoch's order that make its optimizer step `step`; the last one may be shorter.
pub(crate) fn step(step: usize, len: usize, batch_size: usize) -> Range<usize> {
    let start = step * batch_size;
    start..len.min(start.saturating_add(batch_size))
}
