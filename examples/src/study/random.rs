//! Random numbers, by purpose.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// What is drawn. Each purpose has its own stream: with one stream for all, the same seed would
/// shuffle the pool alike for the mismatch and for the random choice, which would then be exactly
/// the mismatched rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Rows that get another row's answer.
    Mismatch = 0,
    /// Rows chosen by lot.
    Choice = 1,
}

/// The numbers of a seed for a purpose.
pub(super) fn random(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut numbers = ChaCha8Rng::seed_from_u64(seed);
    numbers.set_stream(purpose as u64);
    numbers
}
