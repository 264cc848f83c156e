//! One shard of rows as a safetensors file.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use tamis_dataset::SampleId;
use tch::{Device, Kind, Tensor};

use crate::{GradientError, Skipped};

/// Number type rows are stored in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowType {
    /// 32-bit floats.
    F32,
    /// IEEE half precision: 11 significant bits, magnitudes to 65,504.
    #[default]
    F16,
    /// bfloat16: 8 significant bits, the range of f32.
    Bf16,
}

impl RowType {
    /// The same type in LibTorch.
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::F16 => Kind::Half,
            Self::Bf16 => Kind::BFloat16,
        }
    }

    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

impl fmt::Display for RowType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RowType {
    type Err = GradientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::F32, Self::F16, Self::Bf16].into_iter().find(|t| t.name() == text).ok_or_else(|| {
            GradientError::Parameter {
                name: "row type",
                value: text.to_owned(),
                expected: "f32, f16 or bf16",
            }
        })
    }
}

/// What stands beside a sample's row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowInfo {
    /// Id of the sample.
    pub id: SampleId,
    /// Its row in the pool, from 0.
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
}

impl RowShard {
    /// The shard as a safetensors file with tensors `rows`, `index`, `norm`, `loss`, `targets` and,
    /// in its metadata, the ids and the skipped samples as JSON.
    pub(crate) fn to_bytes(&self, dtype: RowType, name: &str) -> Result<Vec<u8>, GradientError> {
        let stored = self.rows.f_to_kind(dtype.kind())?.f_to_device(Device::Cpu)?.f_contiguous()?;
        self.refuse_overflow(&stored, dtype)?;
        let mut rows = vec![0u8; stored.numel() * dtype.bytes()];
        stored.f_copy_data_u8(&mut rows, stored.numel())?;
        let count = self.infos.len();
        let column = |of: &dyn Fn(&RowInfo) -> [u8; 8]| -> Vec<u8> {
            self.infos.iter().flat_map(of).collect()
        };
        let index = column(&|i| (i.index as u64).to_le_bytes());
        let targets = column(&|i| (i.targets as u64).to_le_bytes());
        let norm = column(&|i| i.norm.to_le_bytes());
        let loss = column(&|i| i.loss.to_le_bytes());
        let broken = |e: &dyn fmt::Display| shard_error(name, e);
        let width = stored.size()[1] as usize;
        let view = |dtype, shape: Vec<usize>, data| {
            TensorView::new(dtype, shape, data).map_err(|e| broken(&e))
        };
        let tensors = [
            ("rows", view(dtype.dtype(), vec![count, width], &rows)?),
            ("index", view(Dtype::U64, vec![count], &index)?),
            ("targets", view(Dtype::U64, vec![count], &targets)?),
            ("norm", view(Dtype::F64, vec![count], &norm)?),
            ("loss", view(Dtype::F64, vec![count], &loss)?),
        ];
        let labels = Labels {
            ids: self.infos.iter().map(|i| i.id.clone()).collect(),
            skipped: self.skipped.clone(),
        };
        let labels = serde_json::to_string(&labels).map_err(|e| broken(&e))?;
        let metadata = HashMap::from([("tamis".to_owned(), labels)]);
        safetensors::serialize(tensors, Some(metadata)).map_err(|e| broken(&e))
    }

    pub(crate) fn from_bytes(bytes: &[u8], name: &str) -> Result<Self, GradientError> {
        let broken = |e: &dyn fmt::Display| shard_error(name, e);
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| broken(&e))?;
        let labels = header.metadata().as_ref().and_then(|m| m.get("tamis"));
        let labels = labels.ok_or_else(|| broken(&"it has no sample ids"))?;
        let labels: Labels = serde_json::from_str(labels).map_err(|e| broken(&e))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| broken(&e))?;
        let tensor = |key: &str| file.tensor(key).map_err(|e| broken(&e));
        let rows = tensor("rows")?;
        let kind = match rows.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            other => return Err(broken(&format!("rows of type {other:?}"))),
        };
        let shape: Vec<i64> = rows.shape().iter().map(|&n| n as i64).collect();
        let columns = ["index", "targets", "norm", "loss"]
            .map(|key| tensor(key).and_then(|t| eights(&t, key, name)));
        let [index, targets, norm, loss] = columns;
        let (index, targets, norm, loss) = (index?, targets?, norm?, loss?);
        let count = labels.ids.len();
        if shape.len() != 2
            || [shape[0] as usize, index.len(), targets.len(), norm.len(), loss.len()] != [count; 5]
        {
            return Err(broken(&format!("rows of shape {shape:?} for {count} ids")));
        }
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
        let rows = Tensor::f_from_data_size(rows.data(), &shape, kind)?;
        Ok(Self { infos, rows, skipped: labels.skipped })
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
