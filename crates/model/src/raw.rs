//! The bytes of a tensor, in pieces.

use tch::Tensor;

use crate::ModelError;

/// Scalars per piece: large enough to be fast, small enough not to be noticed in memory.
const CHUNK: i64 = 1 << 20;

/// Calls `visit` with the row-major bytes of `tensor`, piece by piece, from any device.
pub(crate) fn for_each_chunk(
    tensor: &Tensor,
    mut visit: impl FnMut(&[u8]) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let width = tensor.f_kind()?.elt_size_in_bytes();
    let flat = tensor.f_detach()?.f_reshape([-1])?;
    let total = flat.numel() as i64;
    let mut buffer = vec![0u8; CHUNK.min(total) as usize * width];
    for start in (0..total).step_by(CHUNK as usize) {
        let count = CHUNK.min(total - start);
        let bytes = &mut buffer[..count as usize * width];
        flat.f_narrow(0, start, count)?.f_copy_data_u8(bytes, count as usize)?;
        visit(bytes)?;
    }
    Ok(())
}
