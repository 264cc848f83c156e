//! Random matrices that are the same bits on any device, in any batch and in any order.
//!
//! Every matrix has a generator of its own, keyed by (seed, purpose, name). Numbers are drawn on
//! the host in row-major order and then moved, so a device cannot change them.

use rand::{Rng, SeedableRng, rngs::ChaCha8Rng};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::GradientError;

/// Distribution of the entries of a dense random projection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entries {
    /// ±1 with equal probability: one random bit an entry.
    #[default]
    Rademacher,
    /// Standard normal.
    Gaussian,
}

/// Key of the generator for (seed, purpose, name).
pub(crate) fn key(seed: u64, purpose: &str, name: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&(purpose.len() as u64).to_le_bytes());
    hasher.update(purpose.as_bytes());
    hasher.update(name.as_bytes());
    *hasher.finalize().as_bytes()
}

/// A (rows, columns) matrix `R` with `E[Rᵀ R] = I`: entries of variance 1/rows.
///
/// # Errors
/// What LibTorch reports.
pub fn random_matrix(
    entries: Entries,
    rows: i64,
    columns: i64,
    seed: u64,
    (purpose, name): (&str, &str),
    (kind, device): (Kind, Device),
) -> Result<Tensor, GradientError> {
    let mut rng = ChaCha8Rng::from_seed(key(seed, purpose, name));
    let count = (rows * columns) as usize;
    let scale = 1.0 / (rows as f64).sqrt();
    let values: Vec<f64> = match entries {
        Entries::Rademacher => signs(&mut rng, count).map(|s| s * scale).collect(),
        Entries::Gaussian => (0..count)
            .map(|_| {
                let z: f64 = StandardNormal.sample(&mut rng);
                z * scale
            })
            .collect(),
    };
    Ok(Tensor::f_from_slice(&values)?
        .f_view([rows, columns])?
        .f_to_kind(kind)?
        .f_to_device(device)?)
}

/// `count` values of ±1, one bit each.
pub(crate) fn signs(rng: &mut ChaCha8Rng, count: usize) -> impl Iterator<Item = f64> {
    let (mut word, mut left) = (0u64, 0u32);
    (0..count).map(move |_| {
        if left == 0 {
            (word, left) = (rng.next_u64(), 64);
        }
        let sign = if word & 1 == 1 { 1.0 } else { -1.0 };
        (word, left) = (word >> 1, left - 1);
        sign
    })
}
