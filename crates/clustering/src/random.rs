//! The random numbers of this crate: `ChaCha8` by seed and stream.
//!
//! Only the generator's 64-bit output is used. Its way to fractions, numbers below a bound and orders
//! is written here, so that a later release of `rand` cannot change what a seed stands for.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// A source of random numbers.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    /// Streams of one seed are independent of each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        Self(generator)
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in 0..bound; `bound` is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        // Numbers from the last, incomplete multiple of the bound would favour small remainders.
        let incomplete = (u64::MAX % bound + 1) % bound;
        loop {
            let number = self.0.next_u64();
            if number <= u64::MAX - incomplete {
                return (number % bound) as usize;
            }
        }
    }

    /// Puts items into a uniformly random order (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
