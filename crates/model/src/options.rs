//! How a model is loaded: device, number format, attention kernel.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use crate::{DType, ModelError, device};

/// How [`load`](crate::load) brings a model into memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoadOptions {
    /// Where the weights go and the arithmetic happens.
    pub device: DeviceSpec,
    /// What the weights are converted to, whatever the checkpoint holds.
    pub kind: DType,
    /// Which attention kernel runs.
    pub attention: Attention,
}

/// Which attention kernel runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// LibTorch's `scaled_dot_product_attention`, fused where the device has a fused kernel.
    #[default]
    Fused,
    /// The textbook formula, one LibTorch operation per step: slower and more memory, but every
    /// derivative exists (second order, forward mode, `vmap`-like tricks).
    Math,
}

impl TryFrom<Kind> for DType {
    type Error = ModelError;

    fn try_from(kind: Kind) -> Result<Self, ModelError> {
        match kind {
            Kind::Float => Ok(Self::F32),
            Kind::Half => Ok(Self::F16),
            Kind::BFloat16 => Ok(Self::Bf16),
            Kind::Double => Ok(Self::F64),
            other => Err(ModelError::Option {
                what: "number format for weights",
                found: format!("{other:?}"),
                expected: "Float, Half, BFloat16 or Double",
            }),
        }
    }
}

impl FromStr for DType {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            "f32" | "float32" => Ok(Self::F32),
            "f16" | "float16" => Ok(Self::F16),
            "bf16" | "bfloat16" => Ok(Self::Bf16),
            "f64" | "float64" => Ok(Self::F64),
            _ => Err(ModelError::Option {
                what: "dtype",
                found: text.to_owned(),
                expected: "f32, f16, bf16 or f64",
            }),
        }
    }
}

/// A device as the user writes it: `auto`, `cpu` or `cuda:N`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceSpec {
    /// The first CUDA device if there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl DeviceSpec {
    /// Finds the device, loading LibTorch's CUDA library if it may be needed.
    ///
    /// # Errors
    /// [`ModelError::CudaUnavailable`] where a CUDA device was asked for by number and there is no
    /// such device, no driver, or no CUDA build of LibTorch.
    pub fn resolve(self) -> Result<Device, ModelError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto => Ok(match device::load_cuda() {
                Ok(_) => Device::Cuda(0),
                Err(_) => Device::Cpu,
            }),
            Self::Cuda(index) => {
                let unavailable =
                    |reason| ModelError::CudaUnavailable { device: self.to_string(), reason };
                let devices = device::load_cuda().map_err(unavailable)?;
                if index < devices {
                    Ok(Device::Cuda(index))
                } else {
                    Err(unavailable(format!("there are only {devices} CUDA devices")))
                }
            }
        }
    }
}

impl From<Device> for DeviceSpec {
    /// A device that is no CUDA device is named `cpu`: no other is ever resolved.
    fn from(device: Device) -> Self {
        match device {
            Device::Cuda(index) => Self::Cuda(index),
            _ => Self::Cpu,
        }
    }
}

impl fmt::Display for DeviceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceSpec {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let unknown = || ModelError::Option {
            what: "device",
            found: text.to_owned(),
            expected: "auto, cpu or cuda:N",
        };
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let index = text.strip_prefix("cuda:").ok_or_else(unknown)?;
                index.parse().map(Self::Cuda).map_err(|_| unknown())
            }
        }
    }
}

impl TryFrom<String> for DeviceSpec {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        text.parse()
    }
}

impl From<DeviceSpec> for String {
    fn from(spec: DeviceSpec) -> Self {
        spec.to_string()
    }
}
