//! Random numbers, by purpose.

use tamis::artifact::Random;

/// `count` of some rows, in a random order that depends on the seed and on what it is for: the
/// choice of a seed is not one of those it is compared with.
pub(super) fn draw(rows: &[usize], count: usize, seed: u64, purpose: &str) -> Vec<usize> {
    let mut rows = rows.to_vec();
    Random::keyed(seed, "select", purpose).shuffle(&mut rows);
    rows.truncate(count);
    rows
}
