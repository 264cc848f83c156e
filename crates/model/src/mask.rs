//! What a position of a causal model may see.

use tch::{Device, Kind, Tensor};

use crate::ModelError;

/// True on and below the diagonal: what a position sees.
pub(crate) fn triangle(time: i64, device: Device) -> Result<Tensor, ModelError> {
    Ok(Tensor::f_ones([time, time], (Kind::Bool, device))?.f_tril(0)?)
}
