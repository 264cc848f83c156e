//! A sparse Johnson–Lindenstrauss sketch of formed gradients.

use tamis_artifact::{ParameterError, Random};
use tch::{Device, Kind, Tensor};

use crate::GradientError;

/// Place and sign of every entry of one named matrix of gradients; one scatter-add applies it.
#[derive(Debug)]
pub(crate) struct SparseSketch {
    places: Tensor,
    signs: Tensor,
}

impl SparseSketch {
    /// For the `count` entries of what is called `name`.
    pub(crate) fn new(
        name: &str,
        count: usize,
        dim: usize,
        seed: u64,
        (kind, device): (Kind, Device),
    ) -> Result<Self, GradientError> {
        if dim == 0 || i32::try_from(dim).is_err() {
            let expected = "sparse:DIM with DIM from 1 to 2147483647";
            return Err(ParameterError::new("projection", format!("sparse:{dim}"), expected).into());
        }
        let mut random = Random::keyed(seed, "sparse places", name);
        let places: Vec<i32> = (0..count).map(|_| random.below(dim) as i32).collect();
        let mut random = Random::keyed(seed, "sparse signs", name);
        let signs: Vec<i8> = random.signs(count).map(|s| s as i8).collect();
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
        self.add_from(0, &gradients.f_flatten(1, -1)?, rows)
    }

    /// Adds the sketch of the entries from `first` on, (rows, entries), to `rows` (rows, dim).
    pub(crate) fn add_from(
        &self,
        first: i64,
        values: &Tensor,
        rows: &mut Tensor,
    ) -> Result<(), GradientError> {
        let (samples, count) = values.size2()?;
        let signs = self.signs.f_narrow(0, first, count)?;
        let signed = values.f_mul(&signs)?.f_to_kind(rows.kind())?;
        // A third of the time of `index_add`, which goes entry by entry through all rows.
        let places = self.places.f_narrow(0, first, count)?.f_to_kind(Kind::Int64)?;
        let places = places.f_unsqueeze(0)?.f_expand([samples, count], false)?;
        let _ = rows.f_scatter_add_(1, &places, &signed)?;
        Ok(())
    }
}
