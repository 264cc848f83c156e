//! Weights in safetensors files, single or sharded, read by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::{Path, PathBuf},
};

use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use tch::{Device, Kind, Tensor};

use crate::{DType, ModelError, mapped, row_major};

/// The single file of an unsharded checkpoint.
pub(crate) const SINGLE: &str = "model.safetensors";
/// The list of shards of a sharded one.
const INDEX: &str = "model.safetensors.index.json";

#[derive(Debug)]
struct Stored {
    file: usize,
    bytes: Range<usize>,
    shape: Vec<i64>,
    dtype: Dtype,
}

/// An opened checkpoint: headers are parsed and checked, weights stay on disk until asked for.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    dir: PathBuf,
    files: Vec<Mmap>,
    tensors: BTreeMap<String, Stored>,
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
    pub(crate) fn open(dir: &Path) -> Result<Self, ModelError> {
        let mut checkpoint =
            Self { dir: dir.to_owned(), files: Vec::new(), tensors: BTreeMap::new() };
        let index = dir.join(INDEX);
        if dir.join(SINGLE).exists() {
            checkpoint.add_file(&dir.join(SINGLE))?;
        } else if index.exists() {
            checkpoint.add_shards(&index)?;
        } else {
            let other = ["pytorch_model.bin", "pytorch_model.bin.index.json"];
            let hint = other.iter().find(|name| dir.join(name).exists());
            let hint = hint.map_or_else(String::new, |name| format!(" (only {name})"));
            return Err(ModelError::NoWeights { dir: dir.to_owned(), hint });
        }
        Ok(checkpoint)
    }

    fn add_shards(&mut self, index: &Path) -> Result<(), ModelError> {
        let text = std::fs::read(index).map_err(ModelError::io(index))?;
        let parsed: ShardIndex = serde_json::from_slice(&text)
            .map_err(|source| ModelError::Json { path: index.to_owned(), source })?;
        let disagree = |problem| ModelError::ShardIndex { path: index.to_owned(), problem };
        for name in parsed.weight_map.values().collect::<BTreeSet<_>>() {
            if Path::new(name).components().count() != 1 || name == ".." {
                return Err(disagree(format!("shard `{name}` is not a file of this folder")));
            }
            self.add_file(&self.dir.join(name))?;
        }
        match parsed.weight_map.iter().find(|(name, _)| !self.tensors.contains_key(*name)) {
            Some((name, file)) => Err(disagree(format!("`{name}` is in no shard, not in {file}"))),
            None => Ok(()),
        }
    }

    fn add_file(&mut self, path: &Path) -> Result<(), ModelError> {
        let map = mapped::map(path)?;
        let damaged = |source| ModelError::Safetensors { path: path.to_owned(), source };
        let start = map.as_ptr() as usize;
        for (name, view) in SafeTensors::deserialize(&map).map_err(damaged)?.iter() {
            let offset = view.data().as_ptr() as usize - start;
            let stored = Stored {
                file: self.files.len(),
                bytes: offset..offset + view.data().len(),
                shape: view.shape().iter().map(|&side| side as i64).collect(),
                dtype: view.dtype(),
            };
            self.tensors.insert(name.to_owned(), stored);
        }
        self.files.push(map);
        Ok(())
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Copies a tensor out, converted to `dtype` on `device`; every value is finite.
    ///
    /// With `transposed`, the file holds it as (columns, rows) of the `shape` wanted.
    pub(crate) fn read(
        &self,
        name: &str,
        shape: &[i64],
        transposed: bool,
        dtype: DType,
        device: Device,
    ) -> Result<Tensor, ModelError> {
        let Some(stored) = self.tensors.get(name) else {
            let hint = if name == "lm_head.weight" {
                " (unless `tie_word_embeddings` should be true)"
            } else {
                ""
            };
            let (dir, name) = (self.dir.clone(), name.to_owned());
            return Err(ModelError::MissingTensor { dir, name, hint: hint.to_owned() });
        };
        let mut expected = shape.to_vec();
        if transposed {
            expected.reverse();
        }
        if stored.shape != expected {
            let (name, found) = (name.to_owned(), stored.shape.clone());
            return Err(ModelError::WrongShape { name, found, expected });
        }
        let kind = match stored.dtype {
            Dtype::F64 => Kind::Double,
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => {
                let (name, found) = (name.to_owned(), format!("{other:?}"));
                return Err(ModelError::UnsupportedDtype { name, found });
            }
        };
        let bytes = &self.files[stored.file][stored.bytes.clone()];
        let mut tensor = Tensor::f_from_data_size(bytes, &expected, kind)?;
        if transposed {
            tensor = row_major(&tensor.f_transpose(0, 1)?)?;
        }
        let tensor = tensor.f_to_kind(dtype.kind())?;
        check_finite(name, &tensor, dtype)?;
        Ok(tensor.f_to_device(device)?)
    }
}

/// Refuses a tensor that holds NaN or infinity.
fn check_finite(name: &str, tensor: &Tensor, kind: DType) -> Result<(), ModelError> {
    if tensor.numel() == 0 {
        return Ok(());
    }
    // One pass and no mask: both ends are NaN if any value is.
    let (low, high) = tensor.f_aminmax(None::<i64>, false)?;
    if low.f_double_value(&[])?.is_finite() && high.f_double_value(&[])?.is_finite() {
        return Ok(());
    }
    let finite = tensor.f_isfinite()?.f_sum(Kind::Int64)?.f_int64_value(&[])? as usize;
    let total = tensor.numel();
    Err(ModelError::NonFinite { name: name.to_owned(), count: total - finite, total, kind })
}
