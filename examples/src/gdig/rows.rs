//! Gradients as rows to be clustered.

use anyhow::Result;
use ndarray::Array2;
use tamis::gradients::RowStore;
use tch::{Kind, Tensor};

/// Stored gradients of the samples with these indices, as they are.
///
/// # Errors
/// A damaged store, or a sample that is not in it.
pub fn stored_rows(store: &RowStore, indices: &[usize]) -> Result<Array2<f32>> {
    to_array(&store.gather(indices)?)
}

/// The same scaled to length 1, so that clusters follow the direction and not the norm; a row of
/// zeros stays one.
///
/// # Errors
/// As [`stored_rows`].
pub fn unit_rows(store: &RowStore, indices: &[usize]) -> Result<Array2<f32>> {
    let rows = store.gather(indices)?;
    let norms = rows.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?;
    to_array(&rows.f_div(&norms.f_sqrt()?.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)?)
}

fn to_array(rows: &Tensor) -> Result<Array2<f32>> {
    let shape = (rows.size()[0] as usize, rows.size()[1] as usize);
    let values: Vec<f32> = Tensor::try_into(rows.f_flatten(0, -1)?)?;
    Ok(Array2::from_shape_vec(shape, values)?)
}
