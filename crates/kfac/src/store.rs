//! Covariance sums on disk, a part of the pool at a time.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tamis_artifact::{Manifest, Store};
use tamis_model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::{Factors, KfacError};

/// Version of the shard layout.
const FORMAT: u32 = 1;

/// What a shard says beside its sums.
#[derive(Serialize, Deserialize)]
struct Header {
    count: f64,
    shared_inputs: Vec<usize>,
}

/// A folder of covariance sums, one shard a part of the pool.
#[derive(Debug)]
pub struct FactorStore {
    store: Store,
}

impl FactorStore {
    /// Opens the store at `dir`; goes on where an earlier fit with the same `fields` stopped.
    ///
    /// # Errors
    /// A store made from something else (the error names the field that differs), or a file that
    /// cannot be written.
    pub fn create_or_resume(
        dir: impl AsRef<Path>,
        fields: Map<String, Value>,
    ) -> Result<Self, KfacError> {
        let manifest = Manifest { kind: "kfac-factors".to_owned(), format: FORMAT, fields };
        Ok(Self { store: Store::create_or_resume(dir, &manifest)? })
    }

    /// Opens an existing store for reading.
    ///
    /// # Errors
    /// No store there, or one that is damaged.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, KfacError> {
        Ok(Self { store: Store::open(dir)? })
    }

    /// The artefact underneath.
    pub fn artifact(&self) -> &Store {
        &self.store
    }

    /// Whether part `number` is there.
    pub fn has(&self, number: usize) -> bool {
        self.store.has(&part_name(number))
    }

    /// Marks the store complete.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(&mut self) -> Result<(), KfacError> {
        Ok(self.store.finish()?)
    }

    /// Writes part `number` as safetensors: `<layer>.a` (only for the first layer that reads an
    /// input), `<layer>.s`, and in the metadata the count and which layers share inputs.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(&mut self, number: usize, factors: &Factors) -> Result<(), KfacError> {
        let name = part_name(number);
        let broken = |e: &dyn fmt::Display| shard_error(&name, e);
        let mut data = Vec::new();
        for (n, layer) in factors.layers().iter().enumerate() {
            let Some(sums) = factors.layer(n) else { continue };
            if factors.shared_inputs()[n] == n {
                data.push((format!("{}.a", layer.name), bytes_of(&sums.a)?));
            }
            data.push((format!("{}.s", layer.name), bytes_of(&sums.s)?));
        }
        let views = data
            .iter()
            .map(|(key, (dtype, shape, bytes))| {
                Ok((key, TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| broken(&e))?))
            })
            .collect::<Result<Vec<_>, KfacError>>()?;
        let header =
            Header { count: factors.count(), shared_inputs: factors.shared_inputs().to_vec() };
        let header = serde_json::to_string(&header).map_err(|e| broken(&e))?;
        // One entry alone: several would be written in an order of their own in every run.
        let metadata = HashMap::from([("tamis".to_owned(), header)]);
        let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| broken(&e))?;
        Ok(self.store.write(&name, &bytes)?)
    }

    /// Part `number`, for `layers`.
    ///
    /// # Errors
    /// A part that is missing, damaged or of other layers.
    pub fn read(
        &self,
        number: usize,
        layers: &[LayerInfo],
        device: Device,
    ) -> Result<Factors, KfacError> {
        let name = part_name(number);
        let broken = |e: &dyn fmt::Display| shard_error(&name, e);
        let bytes = self.store.read(&name)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| broken(&e))?;
        let header = header.metadata().as_ref().and_then(|m| m.get("tamis"));
        let header = header.ok_or_else(|| broken(&"it has no count"))?;
        let Header { count, shared_inputs: shared } =
            serde_json::from_str(header).map_err(|e| broken(&e))?;
        if shared.len() != layers.len() {
            return Err(broken(&format!("{} layers, not {}", shared.len(), layers.len())));
        }
        let file = SafeTensors::deserialize(&bytes).map_err(|e| broken(&e))?;
        let tensor = |key: String| -> Result<Tensor, KfacError> {
            let view = file.tensor(&key).map_err(|e| broken(&format!("{key}: {e}")))?;
            tensor_of(&view, device).map_err(|e| broken(&format!("{key}: {e}")))
        };
        let (mut a, mut s) = (Vec::new(), Vec::new());
        for (n, layer) in layers.iter().enumerate() {
            let first = shared[n] == n;
            a.push(if first { Some(tensor(format!("{}.a", layer.name))?) } else { None });
            s.push(tensor(format!("{}.s", layer.name))?);
        }
        Ok(Factors::from_parts(layers.to_vec(), shared, a, s, count))
    }

    /// The sum of all parts.
    ///
    /// # Errors
    /// A part that is missing, damaged or of other layers.
    pub fn merged(
        &self,
        layers: &[LayerInfo],
        kind: Kind,
        device: Device,
    ) -> Result<Factors, KfacError> {
        let mut total: Option<Factors> = None;
        for part in 0..self.store.shards().count() {
            let factors = self.read(part, layers, device)?;
            match total.as_mut() {
                None => total = Some(factors),
                Some(total) => total.merge(&factors)?,
            }
        }
        total.map_or_else(|| Factors::zeros(layers, kind, device), Ok)
    }
}

fn part_name(number: usize) -> String {
    format!("part-{number:05}.safetensors")
}

fn shard_error(name: &str, reason: &dyn fmt::Display) -> KfacError {
    KfacError::Shard { shard: name.to_owned(), reason: reason.to_string() }
}

type Stored = (Dtype, Vec<usize>, Vec<u8>);

fn bytes_of(tensor: &Tensor) -> Result<Stored, KfacError> {
    let (dtype, size) =
        if tensor.kind() == Kind::Double { (Dtype::F64, 8) } else { (Dtype::F32, 4) };
    let host = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0u8; host.numel() * size];
    host.f_copy_data_u8(&mut bytes, host.numel())?;
    Ok((dtype, host.size().iter().map(|&n| n as usize).collect(), bytes))
}

fn tensor_of(view: &TensorView<'_>, device: Device) -> Result<Tensor, String> {
    let kind = match view.dtype() {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        other => return Err(format!("unexpected type {other:?}")),
    };
    let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
    let host = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|e| e.to_string())?;
    host.f_to_device(device).map_err(|e| e.to_string())
}
