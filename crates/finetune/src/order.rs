//! In which order the samples are seen.

use std::ops::Range;

use tamis_artifact::Random;

/// The order of `len` samples in epoch `epoch` (from 0): a permutation of `0..len` that depends on
/// nothing but the three arguments.
///
/// Each epoch has random numbers of its own, so an epoch's order can be had without those before it.
pub fn epoch_order(len: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    Random::keyed(seed, "order of an epoch", &epoch.to_string()).shuffle(&mut order);
    order
}

/// The places of an epoch's order that make its optimizer step `step`; the last one may be shorter.
pub(crate) fn step(step: usize, len: usize, batch_size: usize) -> Range<usize> {
    let start = step * batch_size;
    start..len.min(start.saturating_add(batch_size))
}
