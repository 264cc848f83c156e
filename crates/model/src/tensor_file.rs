//! Tensors on their way into files.

use std::collections::HashMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use tamis_artifact::AtomicFile;
use tch::{Device, Tensor};

use crate::{DType, ModelError};

/// Scalars per piece: large enough to be fast, small enough not to be noticed in memory.
const PIECE: i64 = 1 << 20;
/// The values start at a multiple of this, so that they can be read in place.
const ALIGNMENT: usize = 8;

/// Writes tensors from any device as a safetensors file, which appears complete or not at all.
///
/// The widest numbers come first and then names in order, so that equal tensors make equal files. Values go to the file
/// in pieces: a contiguous tensor is not copied.
///
/// # Errors
/// A tensor whose kind is none of [`DType`], two of one name, a file that cannot be written, or what LibTorch reports.
pub fn write_tensors<N: AsRef<str>>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, Tensor)>,
) -> Result<(), ModelError> {
    let path = path.as_ref();
    let mut named = Vec::new();
    for (name, tensor) in tensors {
        named.push((DType::try_from(tensor.f_kind()?)?, name.as_ref().to_owned(), tensor));
    }
    named.sort_by(|(a_type, a, _), (b_type, b, _)| {
        let width = |dtype: &DType| std::cmp::Reverse(dtype.kind().elt_size_in_bytes());
        width(a_type).cmp(&width(b_type)).then_with(|| a.cmp(b))
    });
    let header = header(path, &named)?;
    let mut file = AtomicFile::create(path)?;
    file.put((header.len() as u64).to_le_bytes())?;
    file.put(&header)?;
    for (_, _, tensor) in &named {
        visit_bytes(tensor, |bytes| file.put(bytes).map_err(ModelError::from))?;
    }
    file.commit()?;
    Ok(())
}

/// Names, kinds, shapes and places of the tensors, in the order in which their values follow.
fn header(path: &Path, named: &[(DType, String, Tensor)]) -> Result<Vec<u8>, ModelError> {
    let mut infos = Vec::with_capacity(named.len());
    let mut offset = 0;
    for (dtype, name, tensor) in named {
        let end = offset + tensor.numel() * dtype.kind().elt_size_in_bytes();
        let shape = tensor.size().into_iter().map(|side| side as usize).collect();
        let dtype = match dtype {
            DType::F64 => Dtype::F64,
            DType::F32 => Dtype::F32,
            DType::F16 => Dtype::F16,
            DType::Bf16 => Dtype::BF16,
        };
        infos.push((name.clone(), TensorInfo { dtype, shape, data_offsets: (offset, end) }));
        offset = end;
    }
    // What Hugging Face's programs look for before they load a file.
    let about = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let failed = |source| ModelError::Safetensors { path: path.to_owned(), source };
    let metadata = Metadata::new(Some(about), infos).map_err(failed)?;
    let mut text = serde_json::to_vec(&metadata)
        .map_err(|source| ModelError::Json { path: path.to_owned(), source })?;
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(text)
}

/// Calls `visit` with the row-major bytes of a tensor, piece by piece, from any device.
///
/// # Errors
/// What LibTorch or `visit` reports.
pub fn visit_bytes<E: From<tch::TchError>>(
    tensor: &Tensor,
    mut visit: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let width = tensor.f_kind()?.elt_size_in_bytes();
    let flat = tensor.f_detach()?.f_reshape([-1])?;
    let total = flat.numel() as i64;
    let mut buffer = vec![0u8; PIECE.min(total) as usize * width];
    for start in (0..total).step_by(PIECE as usize) {
        let count = PIECE.min(total - start);
        let bytes = &mut buffer[..count as usize * width];
        let piece = flat.f_narrow(0, start, count)?.f_to_device(Device::Cpu)?;
        piece.f_copy_data_u8(bytes, count as usize)?;
        visit(bytes)?;
    }
    Ok(())
}
