//! Random numbers by what they are for.

use std::fmt;

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};

/// A source of random numbers: `ChaCha8`, keyed by a seed, a purpose and a name.
///
/// The key is the BLAKE3 hash of the three, so numbers for different purposes have nothing to do with each other
/// although all of them come from the one seed a user gives. Nothing depends on what else was drawn before or on
/// how work is spread over threads: what is drawn by itself gets a name of its own.
///
/// ```
/// use tamis_artifact::Random;
///
/// let mut order: Vec<usize> = (0..100).collect();
/// Random::keyed(7, "order of an epoch", "3").shuffle(&mut order);
/// let rows = Random::keyed(7, "rows to look at", "").sample(100, 10);
/// assert!(rows.is_sorted());
/// ```
pub struct Random(ChaCha8Rng);

impl Random {
    /// The numbers of `seed` for `purpose` and, where there are several of the kind, `name`.
    pub fn keyed(seed: u64, purpose: &str, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        for text in [purpose, name] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Self(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))
    }

    /// 32 fair bits.
    pub fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    /// 64 fair bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Fair bits for every byte.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// Goes to the 32-bit word number `word` of the stream, from 0: any part of a long stream can be had without
    /// those before it.
    pub fn seek(&mut self, word: u128) {
        self.0.set_word_pos(word);
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn fraction(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From the standard normal distribution.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// Uniform in `0..bound`; 0 if `bound` is 0.
    ///
    /// The high half of a product with the bound (Lemire, 2019). Some numbers would come from one more multiple than
    /// others; the products that make the difference are drawn again. Bounds below 2³² take 32 bits.
    pub fn below(&mut self, bound: usize) -> usize {
        if let Ok(bound) = u32::try_from(bound) {
            return loop {
                let product = u64::from(self.next_u32()) * u64::from(bound);
                let low = product as u32;
                if low >= bound || low >= bound.wrapping_neg() % bound {
                    break (product >> 32) as usize;
                }
            };
        }
        let bound = bound as u64;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            let low = product as u64;
            if low >= bound || low >= bound.wrapping_neg() % bound {
                return (product >> 64) as usize;
            }
        }
    }

    /// `count` values of ±1, one bit each.
    pub fn signs(&mut self, count: usize) -> impl Iterator<Item = f64> {
        let (mut word, mut left) = (0u64, 0u32);
        (0..count).map(move |_| {
            if left == 0 {
                (word, left) = (self.next_u64(), 64);
            }
            let sign = if word & 1 == 1 { 1.0 } else { -1.0 };
            (word, left) = (word >> 1, left - 1);
            sign
        })
    }

    /// Puts items into a uniformly random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` of the numbers `0..total`, each set of them as likely as any other (all of them if there are no more),
    /// in ascending order.
    pub fn sample(&mut self, total: usize, count: usize) -> Vec<usize> {
        let mut left = count.min(total);
        let mut drawn = Vec::with_capacity(left);
        for number in 0..total {
            if left == 0 {
                break;
            }
            if self.below(total - number) < left {
                drawn.push(number);
                left -= 1;
            }
        }
        drawn
    }

    /// `count` positions of `weights`, each drawn in proportion to its weight, with replacement; `None` if the weights
    /// do not add up to a positive finite number. A position of weight 0 is never drawn; no weight may be negative.
    pub fn weighted(&mut self, weights: &[f64], count: usize) -> Option<Vec<usize>> {
        let mut total = 0.0;
        let add = |&weight: &f64| {
            total += weight;
            total
        };
        let up_to: Vec<f64> = weights.iter().map(add).collect();
        if !(total > 0.0 && total.is_finite()) {
            return None;
        }
        // Rounding may lift a target to the total itself.
        let last = up_to.partition_point(|&sum| sum < total);
        let mut draw_one = || {
            let target = self.fraction() * total;
            up_to.partition_point(|&sum| sum <= target).min(last)
        };
        Some((0..count).map(|_| draw_one()).collect())
    }
}

/// Says nothing of the key.
impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}
