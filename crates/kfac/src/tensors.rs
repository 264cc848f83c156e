//! Shards as safetensors with one JSON header in their metadata.

use std::collections::HashMap;
use std::fmt;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Serialize, de::DeserializeOwned};
use tch::{Device, Kind, Tensor};

use crate::KfacError;

/// The bytes of shard `name`. f64 and f32 tensors keep their type.
pub(crate) fn encode(
    name: &str,
    header: &impl Serialize,
    tensors: &[(String, Tensor)],
) -> Result<Vec<u8>, KfacError> {
    let broken = |e: &dyn fmt::Display| shard_error(name, e);
    let data = tensors
        .iter()
        .map(|(key, tensor)| Ok((key, bytes_of(tensor)?)))
        .collect::<Result<Vec<_>, KfacError>>()?;
    let views = data
        .iter()
        .map(|(key, (dtype, shape, bytes))| {
            Ok((key, TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| broken(&e))?))
        })
        .collect::<Result<Vec<_>, KfacError>>()?;
    let header = serde_json::to_string(header).map_err(|e| broken(&e))?;
    // One entry alone: several would be written in an order of their own in every run.
    let metadata = HashMap::from([("tamis".to_owned(), header)]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| broken(&e))
}

/// A shard that is being read.
pub(crate) struct Decoded<'a> {
    name: &'a str,
    bytes: &'a [u8],
    file: SafeTensors<'a>,
}

/// Reads shard `name`.
pub(crate) fn decode<'a>(name: &'a str, bytes: &'a [u8]) -> Result<Decoded<'a>, KfacError> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| shard_error(name, &e))?;
    Ok(Decoded { name, bytes, file })
}

impl Decoded<'_> {
    pub(crate) fn error(&self, reason: &dyn fmt::Display) -> KfacError {
        shard_error(self.name, reason)
    }

    pub(crate) fn header<H: DeserializeOwned>(&self) -> Result<H, KfacError> {
        let (_, found) = SafeTensors::read_metadata(self.bytes).map_err(|e| self.error(&e))?;
        let text = found.metadata().as_ref().and_then(|m| m.get("tamis"));
        let text = text.ok_or_else(|| self.error(&"it has no header"))?;
        serde_json::from_str(text).map_err(|e| self.error(&e))
    }

    pub(crate) fn tensor(&self, key: &str, device: Device) -> Result<Tensor, KfacError> {
        let broken = |e: &dyn fmt::Display| self.error(&format!("{key}: {e}"));
        let view = self.file.tensor(key).map_err(|e| broken(&e))?;
        let kind = match view.dtype() {
            Dtype::F64 => Kind::Double,
            Dtype::F32 => Kind::Float,
            other => return Err(broken(&format!("unexpected type {other:?}"))),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let host = Tensor::f_from_data_size(view.data(), &shape, kind).map_err(|e| broken(&e))?;
        host.f_to_device(device).map_err(|e| broken(&e))
    }
}

fn shard_error(name: &str, reason: &dyn fmt::Display) -> KfacError {
    KfacError::Shard { shard: name.to_owned(), reason: reason.to_string() }
}

fn bytes_of(tensor: &Tensor) -> Result<(Dtype, Vec<usize>, Vec<u8>), KfacError> {
    let (dtype, size) =
        if tensor.kind() == Kind::Double { (Dtype::F64, 8) } else { (Dtype::F32, 4) };
    let host = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
    let mut bytes = vec![0u8; host.numel() * size];
    host.f_copy_data_u8(&mut bytes, host.numel())?;
    Ok((dtype, host.size().iter().map(|&n| n as usize).collect(), bytes))
}
