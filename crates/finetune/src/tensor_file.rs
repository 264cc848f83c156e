//! Named tensors in a safetensors file, written and read piece by piece.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tch::{Device, Kind, Tensor};

use crate::FinetuneError;

/// Scalars copied to the host at a time.
const PIECE: i64 = 1 << 20;
/// The header's values start at a multiple of this, so that they can be read in place.
const ALIGNMENT: usize = 8;
/// Longest header that is believed; the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

#[derive(Serialize, Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<i64>,
    data_offsets: [u64; 2],
}

fn dtype(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Double => "F64",
        Kind::Float => "F32",
        Kind::BFloat16 => "BF16",
        Kind::Half => "F16",
        _ => return None,
    })
}

fn kind(dtype: &str) -> Option<Kind> {
    [Kind::Double, Kind::Float, Kind::BFloat16, Kind::Half]
        .into_iter()
        .find(|&kind| self::dtype(kind) == Some(dtype))
}

/// Writes `tensors` to `path` in the order of their names: beside it first, made durable, then
/// renamed.
pub(crate) fn write(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), FinetuneError> {
    let mut partial = OsString::from(".");
    partial.push(path.file_name().unwrap_or_default());
    partial.push(".tmp");
    let partial = path.with_file_name(partial);
    let result = write_new(&partial, tensors).and_then(|()| {
        fs::rename(&partial, path).map_err(FinetuneError::io("rename to", path))?;
        match path.parent() {
            Some(parent) => sync_folder(parent),
            None => Ok(()),
        }
    });
    if result.is_err() {
        // Gives the space back; the first failure is the one to report.
        let _ = fs::remove_file(&partial);
    }
    result
}

fn write_new(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), FinetuneError> {
    let header = header(path, tensors)?;
    let mut file = BufWriter::new(File::create(path).map_err(FinetuneError::io("create", path))?);
    let mut put = |bytes: &[u8]| file.write_all(bytes).map_err(FinetuneError::io("write", path));
    put(&(header.len() as u64).to_le_bytes())?;
    put(&header)?;
    for tensor in tensors.values() {
        for_each_piece(tensor, &mut put)?;
    }
    let durable = file.flush().and_then(|()| file.get_ref().sync_all());
    durable.map_err(FinetuneError::io("write", path))
}

fn header(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>, FinetuneError> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut offset = 0;
    for (name, tensor) in tensors {
        let kind = tensor.f_kind()?;
        let Some(dtype) = dtype(kind) else {
            let problem = format!("`{name}` is {kind:?}, which is not stored");
            return Err(FinetuneError::File { path: path.to_owned(), problem });
        };
        let bytes = (tensor.numel() * kind.elt_size_in_bytes()) as u64;
        let shape = tensor.size();
        let data_offsets = [offset, offset + bytes];
        header.insert(name.clone(), json!(Entry { dtype: dtype.to_owned(), shape, data_offsets }));
        offset += bytes;
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(text)
}

/// Every tensor of a file, on the CPU.
pub(crate) fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, FinetuneError> {
    let io = || FinetuneError::io("read", path);
    let damaged = |how: String| {
        let problem = format!("not a whole safetensors file: {how}");
        FinetuneError::File { path: path.to_owned(), problem }
    };
    let mut file = File::open(path).map_err(io())?;
    let total = file.metadata().map_err(io())?.len();
    let mut length = [0u8; 8];
    let mut read = |buffer: &mut [u8]| file.read_exact(buffer).map_err(io());
    if total < 8 {
        return Err(damaged(format!("it has only {total} bytes")));
    }
    read(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > (total - 8).min(LONGEST_HEADER) {
        return Err(damaged(format!("its header should have {length} bytes")));
    }
    let mut header = vec![0u8; length as usize];
    read(&mut header)?;
    let json = |source: serde_json::Error| damaged(format!("its header is not valid: {source}"));
    let mut header: Map<String, Value> = serde_json::from_slice(&header).map_err(json)?;
    header.remove("__metadata__");
    let mut entries: Vec<(String, Entry)> = Vec::with_capacity(header.len());
    for (name, entry) in header {
        entries.push((name, serde_json::from_value(entry).map_err(json)?));
    }
    // Read front to back; the values must fill the file without gaps.
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    let (mut tensors, mut at) = (BTreeMap::new(), 0);
    for (name, Entry { dtype, shape, data_offsets: [start, end] }) in entries {
        let Some(kind) = kind(&dtype) else {
            return Err(damaged(format!(
                "`{name}` is stored as {dtype}, expected F64, F32 or BF16"
            )));
        };
        let width = kind.elt_size_in_bytes() as u64;
        let mut sides = shape.iter().map(|&side| u64::try_from(side).ok());
        let bytes = sides.try_fold(width, |bytes, side| bytes.checked_mul(side?));
        let Some(bytes) = bytes else { return Err(damaged(format!("`{name}` is {shape:?}"))) };
        if start != at || end < start || end - start != bytes || end > total - 8 - length {
            return Err(damaged(format!("`{name}` does not lie where it should")));
        }
        let mut values = vec![0u8; bytes as usize];
        read(&mut values)?;
        tensors.insert(name, Tensor::f_from_data_size(&values, &shape, kind)?);
        at = end;
    }
    if at != total - 8 - length {
        return Err(damaged(format!("{} bytes too many", total - 8 - length - at)));
    }
    Ok(tensors)
}

/// Calls `visit` with the row-major bytes of `tensor`, piece by piece, from any device.
fn for_each_piece(
    tensor: &Tensor,
    mut visit: impl FnMut(&[u8]) -> Result<(), FinetuneError>,
) -> Result<(), FinetuneError> {
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

/// The row-major bytes of a tensor.
pub(crate) fn bytes(tensor: &Tensor) -> Result<Vec<u8>, FinetuneError> {
    let mut all = Vec::with_capacity(tensor.numel() * tensor.f_kind()?.elt_size_in_bytes());
    for_each_piece(tensor, |bytes| {
        all.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(all)
}

/// Makes renames and new files in a folder last through a power cut.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), FinetuneError> {
    // Other systems do not open folders as files, and commit renames themselves.
    if cfg!(unix) {
        let sync = File::open(folder).and_then(|folder| folder.sync_all());
        sync.map_err(FinetuneError::io("flush the folder", folder))?;
    }
    Ok(())
}
