//! The random numbers of this crate: `ChaCha8` by seed and stream.
//!
//! Only the generator's 64-bit output is used, so that a later release of `rand` cannot change what a
//! seed stands for. Every resample has a stream of its own: the result does not depend on how
//! the resamples are spread over threads.

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

    /// 64 fair bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in 0..bound; `bound` is not 0.
    ///
    /// The high half of a product with the bound (Lemire, 2019). Some numbers would come from one
    /// more multiple than others; the products that make the difference are drawn again.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = bound as u64;
        loop {
            let product = u128::from(self.bits()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as usize;
            }
        }
    }
}
