//! Random matrices that are the same bits on any device, in any batch and in any order.
//!
//! Every matrix has a generator of its own, keyed by (seed, purpose, name). Numbers are drawn on
//! the host in row-major order and then moved, so a device cannot change them.

use serde::{Deserialize, Serialize};
use tamis_artifact::Random;
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
    let mut random = Random::keyed(seed, purpose, name);
    let count = (rows * columns) as usize;
    let scale = 1.0 / (rows as f64).sqrt();
    let values: Vec<f64> = match entries {
        Entries::Rademacher => random.signs(count).map(|s| s * scale).collect(),
        Entries::Gaussian => (0..count).map(|_| random.normal() * scale).collect(),
    };
    Ok(Tensor::f_from_slice(&values)?
        .f_view([rows, columns])?
        .f_to_kind(kind)?
        .f_to_device(device)?)
}
