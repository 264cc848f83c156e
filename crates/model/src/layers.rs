//! What architectures are made of, and the builder that reads it from a checkpoint.

use std::collections::HashSet;

use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::{
    DType, LayerId, LayerInfo, ModelError, Parameters, Tap, checkpoint::Checkpoint,
    parameters::Layout,
};

/// A linear layer behind the tap: the only way in which architectures multiply by a weight.
#[derive(Debug)]
pub(crate) struct Linear {
    id: LayerId,
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    /// `x Wᵀ (+ b)` as the tap lets it pass.
    pub(crate) fn forward(&self, x: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
        self.forward_with(x, &self.weight, tap)
    }

    /// The same with another weight in place of the layer's own, as a normalised head needs.
    pub(crate) fn forward_with(
        &self,
        x: &Tensor,
        weight: &Tensor,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError> {
        let y = x.f_linear(weight, self.bias.as_ref())?;
        Ok(tap.linear(self.id, x, y)?)
    }

    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }
}

/// Token embedding.
#[derive(Debug)]
pub(crate) struct Embedding {
    weight: Tensor,
}

impl Embedding {
    /// Rows of `ids`: (batch, time) to (batch, time, width).
    pub(crate) fn forward(&self, ids: &Tensor) -> Result<Tensor, ModelError> {
        Ok(Tensor::f_embedding(&self.weight, ids, -1, false, false)?)
    }

    pub(crate) fn weight(&self) -> &Tensor {
        &self.weight
    }
}

/// Root-mean-square norm: `x / √(mean(x²) + ε) · w`.
#[derive(Debug)]
pub(crate) struct RmsNorm {
    weight: Tensor,
    eps: f64,
}

impl RmsNorm {
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let width = self.weight.numel() as i64;
        if x.device().is_cuda() {
            // One fused kernel there, forward and backward.
            return Ok(x.f_rms_norm([width], Some(&self.weight), self.eps)?);
        }
        // On a CPU LibTorch composes `rms_norm` of more passes over x than this, which takes
        // about a fifth longer with its backward.
        let kind = x.f_kind()?;
        let accumulate = if kind == Kind::Double { kind } else { Kind::Float };
        let norm = x.f_linalg_norm(2, [-1i64].as_slice(), true, accumulate)?;
        let scale = norm.f_square()?.f_div_scalar(width)?.f_add_scalar(self.eps)?.f_rsqrt()?;
        let normal = x.f_mul(&scale)?;
        let normal = if kind == accumulate { normal } else { normal.f_to_kind(kind)? };
        Ok(normal.f_mul(&self.weight)?)
    }
}

/// Layer norm with weight and bias.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    eps: f64,
}

impl LayerNorm {
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        let width = self.weight.numel() as i64;
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        Ok(x.f_layer_norm([width], weight, bias, self.eps, false)?)
    }
}

/// Non-linearity of the feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Activation {
    Silu,
    Gelu,
    GeluTanh,
    Relu,
}

impl Activation {
    pub(crate) const KNOWN: &str = "silu, gelu, gelu_new, gelu_pytorch_tanh or relu";

    /// The activation that config.json calls `name`.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "silu" | "swish" => Some(Self::Silu),
            "gelu" => Some(Self::Gelu),
            "gelu_new" | "gelu_pytorch_tanh" => Some(Self::GeluTanh),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }

    pub(crate) fn forward(self, x: &Tensor) -> Result<Tensor, ModelError> {
        Ok(match self {
            Self::Silu => x.f_silu()?,
            Self::Gelu => x.f_gelu("none")?,
            Self::GeluTanh => x.f_gelu("tanh")?,
            Self::Relu => x.f_relu()?,
        })
    }
}

/// Reads an architecture's parameters in the order of its forward pass, numbering linear layers.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    checkpoint: &'a Checkpoint,
    /// Put before every name that is looked up in the checkpoint, but not before the model's own:
    /// `transformer.` names are stored without it by some GPT-2 checkpoints.
    strip: &'static str,
    dtype: DType,
    device: Device,
    read: HashSet<String>,
    parameters: Parameters,
    layers: Vec<LayerInfo>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(checkpoint: &'a Checkpoint, dtype: DType, device: Device) -> Self {
        Self {
            checkpoint,
            strip: "",
            dtype,
            device,
            read: HashSet::new(),
            parameters: Parameters::default(),
            layers: Vec::new(),
        }
    }

    /// Looks names up without this prefix from now on.
    pub(crate) fn strip_prefix(&mut self, prefix: &'static str) {
        self.strip = prefix;
    }

    fn parameter(
        &mut self,
        name: String,
        shape: &[i64],
        layout: Layout,
    ) -> Result<Tensor, ModelError> {
        let stored = name.strip_prefix(self.strip).unwrap_or(&name);
        let transposed = layout == Layout::Transposed;
        let tensor = self.checkpoint.read(stored, shape, transposed, self.dtype, self.device)?;
        self.read.insert(stored.to_owned());
        self.parameters.push(name, tensor.shallow_clone(), layout);
        Ok(tensor)
    }

    pub(crate) fn embedding(
        &mut self,
        name: &str,
        rows: usize,
        width: usize,
    ) -> Result<Embedding, ModelError> {
        let shape = [rows as i64, width as i64];
        Ok(Embedding { weight: self.parameter(format!("{name}.weight"), &shape, Layout::Same)? })
    }

    pub(crate) fn rms_norm(
        &mut self,
        name: &str,
        width: usize,
        eps: f64,
    ) -> Result<RmsNorm, ModelError> {
        let weight = self.parameter(format!("{name}.weight"), &[width as i64], Layout::Same)?;
        Ok(RmsNorm { weight, eps })
    }

    pub(crate) fn layer_norm(
        &mut self,
        name: &str,
        width: usize,
        eps: f64,
    ) -> Result<LayerNorm, ModelError> {
        let weight = self.parameter(format!("{name}.weight"), &[width as i64], Layout::Same)?;
        let bias = self.parameter(format!("{name}.bias"), &[width as i64], Layout::Same)?;
        Ok(LayerNorm { weight, bias, eps })
    }

    /// A linear layer from `inputs` to `outputs`.
    pub(crate) fn linear(
        &mut self,
        name: String,
        (inputs, outputs): (usize, usize),
        bias: bool,
        layout: Layout,
    ) -> Result<Linear, ModelError> {
        let shape = [outputs as i64, inputs as i64];
        let weight = self.parameter(format!("{name}.weight"), &shape, layout)?;
        let bias = if bias {
            Some(self.parameter(format!("{name}.bias"), &shape[..1], Layout::Same)?)
        } else {
            None
        };
        Ok(self.register(name, weight, bias, false))
    }

    /// The language-model head; `tied` to the embedding it has no parameter of its own.
    pub(crate) fn head(
        &mut self,
        name: &str,
        embedding: &Embedding,
        tied: bool,
    ) -> Result<Linear, ModelError> {
        let weight = if tied {
            embedding.weight().shallow_clone()
        } else {
            self.parameter(format!("{name}.weight"), &embedding.weight().size(), Layout::Same)?
        };
        Ok(self.register(name.to_owned(), weight, None, true))
    }

    fn register(
        &mut self,
        name: String,
        weight: Tensor,
        bias: Option<Tensor>,
        head: bool,
    ) -> Linear {
        let id = LayerId(self.layers.len());
        let shape = weight.size();
        self.layers.push(LayerInfo {
            id,
            name,
            in_features: shape[1],
            out_features: shape[0],
            bias: bias.is_some(),
            head,
        });
        Linear { id, weight, bias }
    }

    /// Ends the reading: refuses tensors in the checkpoint that nothing asked for, other than those
    /// that `ignorable` knows to carry no information.
    pub(crate) fn finish(
        self,
        ignorable: impl Fn(&str) -> bool,
    ) -> Result<(Parameters, Vec<LayerInfo>), ModelError> {
        let unknown = |name: &&str| !self.read.contains(*name) && !ignorable(name);
        let mut names = self.checkpoint.names().filter(unknown);
        if let Some(first) = names.next() {
            return Err(ModelError::UnknownTensors {
                dir: self.checkpoint.dir().to_owned(),
                count: 1 + names.count(),
                first: first.to_owned(),
            });
        }
        self.parameters.set_trainable(false)?;
        Ok((self.parameters, self.layers))
    }
}
