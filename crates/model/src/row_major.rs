//! The one memory layout of tensors that are kept.

use tch::{TchError, Tensor};

/// The tensor with its last dimension contiguous, then the one before it, and so on: what a tensor is that was read from
/// a file. Copies only if it lies otherwise.
///
/// Products over tensors of equal values but other strides run other kernels, which round differently on some
/// processors. So a tensor that is computed, stored and read again must be laid out in memory as the one that is
/// read, or a run that goes on differs from one that was never interrupted. Eigenvectors, for instance, are computed
/// column by column. Unlike `contiguous`, this fixes the strides of dimensions of size 1 as well, which matter to the choice of
/// a kernel too.
///
/// ```
/// use tamis_model::row_major;
/// use tch::{Device, Kind, Tensor};
///
/// let columns_first = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu)).tr();
/// assert_eq!(columns_first.stride(), [1, 2]);
/// assert_eq!(row_major(&columns_first)?.stride(), [3, 1]);
/// # Ok::<_, tch::TchError>(())
/// ```
///
/// # Errors
/// What LibTorch reports.
pub fn row_major(tensor: &Tensor) -> Result<Tensor, TchError> {
    let size = tensor.size();
    let mut strides = vec![1; size.len()];
    for side in (1..size.len()).rev() {
        strides[side - 1] = strides[side] * size[side].max(1);
    }
    if tensor.stride() == strides {
        return Ok(tensor.shallow_clone());
    }
    let mut laid_out = Tensor::f_zeros(size, (tensor.f_kind()?, tensor.device()))?;
    laid_out.f_copy_(tensor)?;
    Ok(laid_out)
}
