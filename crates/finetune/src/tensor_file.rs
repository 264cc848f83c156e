//! Named tensors of a safetensors file, read piece by piece.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};
use tch::{Kind, Tensor};

use crate::FinetuneError;

/// Longest header that is believed; the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<i64>,
    data_offsets: [u64; 2],
}

fn kind(dtype: &str) -> Option<Kind> {
    Some(match dtype {
        "F64" => Kind::Double,
        "F32" => Kind::Float,
        "BF16" => Kind::BFloat16,
        "F16" => Kind::Half,
        _ => return None,
    })
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
