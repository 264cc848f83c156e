//! Random numbers, by purpose.

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

/// The numbers of a seed for a purpose, which begins with the name of the program.
///
/// Keyed by a hash of both: were the seed alone the key, the same seed would shuffle the pool alike
/// for the mismatch, for a random choice and for an epoch of training, so that a random choice would
/// be the mismatched rows, and training would see these first.
pub(crate) fn random(seed: u64, purpose: &str) -> ChaCha8Rng {
    let key = blake3::hash(format!("{purpose} {seed}").as_bytes());
    ChaCha8Rng::from_seed(*key.as_bytes())
}

#[cfg(test)]
mod tests {
    use rand::seq::SliceRandom;
    use tamis::finetune::epoch_order;

    use super::random;

    /// Of two unrelated orders of 1,000, the first halves share about 250 rows.
    #[test]
    fn orders_of_one_seed_are_unrelated() {
        let orders = |seed| {
            let shuffled = |purpose: &str| {
                let mut order: Vec<usize> = (0..1000).collect();
                order.shuffle(&mut random(seed, purpose));
                order
            };
            let epochs = (0..4).map(|epoch| epoch_order(1000, seed, epoch));
            ["study mismatch", "study choice", "lds half 3"]
                .map(shuffled)
                .into_iter()
                .chain(epochs)
                .collect::<Vec<_>>()
        };
        for seed in 0..3 {
            let orders = orders(seed);
            for (n, a) in orders.iter().enumerate() {
                for b in &orders[n + 1..] {
                    let shared = a[..500].iter().filter(|row| b[..500].contains(row)).count();
                    assert!((200..300).contains(&shared), "seed {seed}: {shared}");
                }
            }
        }
    }
}
