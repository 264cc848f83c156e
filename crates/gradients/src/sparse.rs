//! A sparse Johnson–Lindenstrauss sketch of formed gradients.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::trace::gradient_size;
use crate::{GradientError, seeded};

/// Place and sign of every entry of one layer's gradient; one scatter-add applies it.
#[derive(Debug)]
pub(crate) struct SparseSketch {
    places: Tensor,
    signs: Tensor,
}

impl SparseSketch {
    pub(crate) fn new(
        layer: &LayerInfo,
        dim: usize,
        seed: u64,
        kind: Kind,
        device: Device,
    ) -> Result<Self, GradientError> {
        let count = gradient_size(layer) as usize;
        let dim = i32::try_from(dim).ok().filter(|&d| d > 0).ok_or(GradientError::Parameter {
            name: "projection",
            value: format!("sparse:{dim}"),
            expected: "sparse:DIM with DIM from 1 to 2147483647",
        })?;
        let mut rng = ChaCha8Rng::from_seed(seeded::key(seed, "sparse places", &layer.name));
        let places: Vec<i32> = (0..count).map(|_| rng.random_range(0..dim)).collect();
        let mut rng = ChaCha8Rng::from_seed(seeded::key(seed, "sparse signs", &layer.name));
        let signs: Vec<i8> = seeded::signs(&mut rng, count).map(|s| s as i8).collect();
        Ok(Self {
            places: Tensor::f_from_slice(&places)?.f_to_device(device)?,
            signs: Tensor::f_from_slice(&signs)?.f_to_kind(kind)?.f_to_device(device)?,
        })
    }

    pub(crate) fn device(&self) -> Device {
        self.places.device()
    }

    /// Adds the sketch of gradients (rows, out, in) to `rows` (rows, dim).
    pub(crate) fn add(&self, gradients: &Tensor, rows: &mut Tensor) -> Result<(), GradientError> {
        let flat = gradients.f_flatten(1, -1)?;
        let signed = flat.f_mul(&self.signs)?.f_to_kind(rows.kind())?;
        let _ = rows.f_index_add_(1, &self.places, &signed)?;
        Ok(())
    }
}
