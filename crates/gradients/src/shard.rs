//! One shard of rows as a safetensors file.

use std::collections::HashMap;
use std::fmt;

use rayon::prelude::*;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tamis_dataset::{SampleId, Skipped};
use tch::{Device, Tensor};

use crate::pack::pack;
use crate::{GradientError, PackedRows, PackedShard, RowType};

/// What stands beside a sample's row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowInfo {
    /// Id of the sample.
    pub id: SampleId,
    /// Its position among the samples that the pass ran over, from 0.
    pub index: usize,
    /// L2 norm of its full gradient over the chosen layers (of their adapters, if it is those that were
    /// looked at).
    pub norm: f64,
    /// Its loss.
    pub loss: f64,
    /// Number of its supervised tokens.
    pub targets: usize,
}

/// Rows of consecutive samples of a pool, in pool order.
#[derive(Debug)]
pub struct RowShard {
    /// One entry a row.
    pub infos: Vec<RowInfo>,
    /// (rows, width).
    pub rows: Tensor,
    /// Samples of the same stretch of the pool that have no row.
    pub skipped: Vec<Skipped>,
}

#[derive(Serialize, Deserialize)]
struct Labels {
    ids: Vec<SampleId>,
    skipped: Vec<Skipped>,
    /// Numbers of a packed row, which its bytes do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<usize>,
}

impl RowShard {
    /// The shard as a safetensors file with tensors `rows`, `index`, `norm`, `loss`, `targets` and,
    /// in its metadata, the ids and the skipped samples as JSON. Packed rows are bytes, with a tensor
    /// `scale` beside them.
    pub(crate) fn to_bytes(&self, dtype: RowType, name: &str) -> Result<Vec<u8>, GradientError> {
        let stored = self.rows.f_to_kind(dtype.kind())?.f_to_device(Device::Cpu)?.f_contiguous()?;
        self.refuse_overflow(&stored, dtype)?;
        let width = stored.size()[1] as usize;
        let (rows, columns, scales) = if dtype.is_packed() {
            let (bytes, scales) = packed(&stored, dtype)?;
            (bytes, dtype.number_bytes(width), Some(scales))
        } else {
            let mut bytes = vec![0u8; stored.numel() * dtype.bits() / 8];
            stored.f_copy_data_u8(&mut bytes, stored.numel())?;
            (bytes, width, None)
        };
        let count = self.infos.len();
        let column = |of: &dyn Fn(&RowInfo) -> [u8; 8]| -> Vec<u8> {
            self.infos.iter().flat_map(of).collect()
        };
        let index = column(&|i| (i.index as u64).to_le_bytes());
        let targets = column(&|i| (i.targets as u64).to_le_bytes());
        let norm = column(&|i| i.norm.to_le_bytes());
        let loss = column(&|i| i.loss.to_le_bytes());
        let broken = |e: &dyn fmt::Display| shard_error(name, e);
        let view = |dtype, shape: Vec<usize>, data| {
            TensorView::new(dtype, shape, data).map_err(|e| broken(&e))
        };
        let mut tensors = vec![
            ("rows", view(dtype.dtype(), vec![count, columns], &rows)?),
            ("index", view(Dtype::U64, vec![count], &index)?),
            ("targets", view(Dtype::U64, vec![count], &targets)?),
            ("norm", view(Dtype::F64, vec![count], &norm)?),
            ("loss", view(Dtype::F64, vec![count], &loss)?),
        ];
        if let Some(scales) = &scales {
            tensors.push(("scale", view(Dtype::F32, vec![count], scales)?));
        }
        let labels = Labels {
            width: scales.as_ref().map(|_| width),
            ids: self.infos.iter().map(|i| i.id.clone()).collect(),
            skipped: self.skipped.clone(),
        };
        let labels = serde_json::to_string(&labels).map_err(|e| broken(&e))?;
        let metadata = HashMap::from([("tamis".to_owned(), labels)]);
        safetensors::serialize(tensors, Some(metadata)).map_err(|e| broken(&e))
    }

    /// A number too large for `dtype` would silently become infinite.
    fn refuse_overflow(&self, stored: &Tensor, dtype: RowType) -> Result<(), GradientError> {
        let finite = stored.f_isfinite()?.f_all_dim(1, false)?;
        if let Some(row) = Vec::<bool>::try_from(finite)?.iter().position(|ok| !ok) {
            let largest = self.rows.f_select(0, row as i64)?.f_abs()?.f_max()?;
            return Err(GradientError::Overflow {
                id: self.infos[row].id.to_string(),
                magnitude: largest.f_double_value(&[])?,
                dtype: dtype.name(),
            });
        }
        Ok(())
    }
}

/// Reads a shard whose rows are of type `dtype`.
pub(crate) fn read_shard(
    bytes: &[u8],
    dtype: RowType,
    name: &str,
) -> Result<PackedShard, GradientError> {
    let broken = |e: &dyn fmt::Display| shard_error(name, e);
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(&e))?;
    let labels = header.metadata().as_ref().and_then(|m| m.get("tamis"));
    let labels = labels.ok_or_else(|| broken(&"it has no sample ids"))?;
    let labels: Labels = serde_json::from_str(labels).map_err(|e| broken(&e))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| broken(&e))?;
    let tensor = |key: &str| file.tensor(key).map_err(|e| broken(&e));
    let rows = tensor("rows")?;
    if rows.dtype() != dtype.dtype() {
        return Err(broken(&format!("rows of type {:?}, expected those of {dtype}", rows.dtype())));
    }
    let columns = ["index", "targets", "norm", "loss"]
        .map(|key| tensor(key).and_then(|t| eights(&t, key, name)));
    let [index, targets, norm, loss] = columns;
    let (index, targets, norm, loss) = (index?, targets?, norm?, loss?);
    let count = labels.ids.len();
    let &[rows_there, columns] = rows.shape() else {
        return Err(broken(&format!("rows of shape {:?}", rows.shape())));
    };
    if [rows_there, index.len(), targets.len(), norm.len(), loss.len()] != [count; 5] {
        return Err(broken(&format!("rows of shape {:?} for {count} ids", rows.shape())));
    }
    let stored = if dtype.is_packed() {
        let width = labels.width.filter(|width| dtype.number_bytes(*width) == columns);
        let width = width.ok_or_else(|| {
            broken(&format!("{columns} bytes a row for a width of {:?}", labels.width))
        })?;
        let scales = scales(&tensor("scale")?, count, name)?;
        PackedRows::packed(rows.data(), scales, width, dtype)
    } else {
        let shape = [count as i64, columns as i64];
        let numbers = Tensor::f_from_data_size(rows.data(), &shape, dtype.kind())?;
        PackedRows::floats(numbers, dtype)?
    };
    let infos = labels
        .ids
        .into_iter()
        .enumerate()
        .map(|(k, id)| RowInfo {
            id,
            index: u64::from_le_bytes(index[k]) as usize,
            targets: u64::from_le_bytes(targets[k]) as usize,
            norm: f64::from_le_bytes(norm[k]),
            loss: f64::from_le_bytes(loss[k]),
        })
        .collect();
    Ok(PackedShard { infos, rows: stored, skipped: labels.skipped })
}

/// Where the rows of a shard are in its file, and what is needed to read them there.
pub(crate) struct Located {
    /// Of every row: its sample's place in the pool.
    pub(crate) indices: Vec<usize>,
    /// Numbers of a row.
    pub(crate) width: usize,
    /// Bytes before the first row.
    pub(crate) offset: u64,
    /// Of each row; none for floats.
    pub(crate) scales: Vec<f32>,
}

/// Finds the rows of a shard, which [`read_shard`] checks.
pub(crate) fn locate(bytes: &[u8], dtype: RowType, name: &str) -> Result<Located, GradientError> {
    let broken = |e: &dyn fmt::Display| shard_error(name, e);
    let shard = read_shard(bytes, dtype, name)?;
    let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| broken(&e))?;
    let rows = metadata.info("rows").ok_or_else(|| broken(&"it has no rows"))?;
    let scales = if dtype.is_packed() {
        let file = SafeTensors::deserialize(bytes).map_err(|e| broken(&e))?;
        let view = file.tensor("scale").map_err(|e| broken(&e))?;
        scales(&view, shard.infos.len(), name)?
    } else {
        Vec::new()
    };
    Ok(Located {
        indices: shard.infos.iter().map(|info| info.index).collect(),
        width: shard.rows.width(),
        // The length of the header stands before it, in eight bytes.
        offset: (8 + header + rows.data_offsets.0) as u64,
        scales,
    })
}

/// The rows of a tensor of f32 as bytes, and their scales.
fn packed(rows: &Tensor, dtype: RowType) -> Result<(Vec<u8>, Vec<u8>), GradientError> {
    let width = rows.size()[1] as usize;
    let flat = Vec::<f32>::try_from(rows.f_view([-1])?)?;
    let packed: Vec<_> = flat.par_chunks(width.max(1)).map(|row| pack(row, dtype)).collect();
    let scales = packed.iter().flat_map(|row| row.scale.to_le_bytes()).collect();
    Ok((packed.into_iter().flat_map(|row| row.bytes).collect(), scales))
}

/// One finite scale, not below zero, for each of `count` rows.
fn scales(view: &TensorView<'_>, count: usize, name: &str) -> Result<Vec<f32>, GradientError> {
    let (chunks, _) = view.data().as_chunks::<4>();
    let scales: Vec<f32> = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    if view.dtype() != Dtype::F32 || scales.len() != count {
        let found = format!("scale of type {:?} and shape {:?}", view.dtype(), view.shape());
        return Err(shard_error(name, &format!("{found} for {count} rows")));
    }
    match scales.iter().find(|scale| !(scale.is_finite() && **scale >= 0.0)) {
        Some(scale) => Err(shard_error(name, &format!("a scale of {scale}"))),
        None => Ok(scales),
    }
}

fn shard_error(name: &str, reason: &dyn fmt::Display) -> GradientError {
    GradientError::Shard { shard: name.to_owned(), reason: reason.to_string() }
}

fn eights(view: &TensorView<'_>, key: &str, name: &str) -> Result<Vec<[u8; 8]>, GradientError> {
    let (chunks, rest) = view.data().as_chunks::<8>();
    if rest.is_empty() && matches!(view.dtype(), Dtype::U64 | Dtype::F64) {
        return Ok(chunks.to_vec());
    }
    Err(shard_error(name, &format!("{key} of type {:?}", view.dtype())))
}
