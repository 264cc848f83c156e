//! Random numbers, by purpose.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

/// `count` of some rows, in a random order that depends on the seed and on what it is for: the
/// choice of a seed is not one of those it is compared with.
pub(super) fn draw(rows: &[usize], count: usize, seed: u64, purpose: &str) -> Vec<usize> {
    let key = blake3::hash(format!("select {purpose} {seed}").as_bytes());
    let mut rows = rows.to_vec();
    rows.shuffle(&mut ChaCha8Rng::from_seed(*key.as_bytes()));
    rows.truncate(count);
    rows
}
