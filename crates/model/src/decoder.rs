//! The decoder that the Llama family shares: rotary attention, RMS norms, gated feed-forward.
//!
//! Llama, Mistral, Qwen2 and Baichuan2 differ in a handful of settings, which
//! [`DecoderConfig`] holds; `decoder_config.rs` reads them from config.json.

use serde::Serialize;
use tamis_artifact::Fingerprint;
use tch::{Device, Tensor};

use crate::{
    Attention, CausalLm, Context, KvCache, LayerInfo, LoadOptions, ModelError, ModelShape,
    Parameters, Tap, attention,
    checkpoint::Checkpoint,
    identity,
    input::{Limit, check_ids, numbered, start_graph},
    layers::{Activation, Builder, Embedding, Linear, RmsNorm},
    parameters::Layout,
    rope::{Rope, RopeConfig},
};

/// Settings of one member of the family, checked: all that is read of config.json.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DecoderConfig {
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) blocks: usize,
    pub(crate) heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub(crate) kv_heads: usize,
    /// Even.
    pub(crate) head_dim: usize,
    pub(crate) eps: f64,
    pub(crate) rope: RopeConfig,
    pub(crate) activation: Activation,
    pub(crate) limit: Limit,
    pub(crate) tied: bool,
    pub(crate) biases: Biases,
    /// Query, key and value in one layer `W_pack` (Baichuan).
    pub(crate) packed_qkv: bool,
    /// Rows of the head scaled to length 1 (Baichuan2).
    pub(crate) normalised_head: bool,
}

/// Which linear layers have a bias.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Biases {
    /// Query, key and value.
    pub(crate) qkv: bool,
    /// The attention's output.
    pub(crate) out: bool,
    /// The feed-forward block.
    pub(crate) mlp: bool,
}

/// A model of the Llama family.
#[derive(Debug)]
pub(crate) struct Decoder {
    config: DecoderConfig,
    shape: ModelShape,
    limit: Limit,
    kernel: Attention,
    heads: i64,
    kv_heads: i64,
    head_dim: i64,
    embedding: Embedding,
    rope: Rope,
    blocks: Vec<Block>,
    norm: RmsNorm,
    head: Linear,
    normalised_head: bool,
    activation: Activation,
    parameters: Parameters,
    layers: Vec<LayerInfo>,
}

#[derive(Debug)]
struct Block {
    before_attention: RmsNorm,
    qkv: Qkv,
    out: Linear,
    before_mlp: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

#[derive(Debug)]
enum Qkv {
    Separate { q: Linear, k: Linear, v: Linear },
    Packed(Linear),
}

impl Decoder {
    /// Reads the weights that `config` describes.
    pub(crate) fn load(
        config: &DecoderConfig,
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        device: Device,
    ) -> Result<Self, ModelError> {
        let mut builder = Builder::new(checkpoint, options.kind, device);
        let width = config.hidden_size;
        let embedding = builder.embedding("model.embed_tokens", config.vocab_size, width)?;
        let blocks = (0..config.blocks)
            .map(|number| Block::load(config, &mut builder, &format!("model.layers.{number}")))
            .collect::<Result<_, _>>()?;
        let norm = builder.rms_norm("model.norm", width, config.eps)?;
        let head = builder.head("lm_head", &embedding, config.tied)?;
        let tied = config.tied;
        let (parameters, layers) = builder.finish(|name| {
            // Tables that older releases stored, and the copy of a tied head.
            name.ends_with(".rotary_emb.inv_freq") || (tied && name == "lm_head.weight")
        })?;
        let kind = options.kind.kind();
        Ok(Self {
            config: config.clone(),
            shape: ModelShape {
                vocab_size: config.vocab_size,
                hidden_size: width,
                max_positions: config.limit.tokens,
                device,
                kind,
            },
            limit: config.limit,
            kernel: options.attention,
            heads: config.heads as i64,
            kv_heads: config.kv_heads as i64,
            head_dim: config.head_dim as i64,
            embedding,
            rope: Rope::new(config.rope, config.head_dim, config.limit.tokens, kind, device),
            blocks,
            norm,
            head,
            normalised_head: config.normalised_head,
            activation: config.activation,
            parameters,
            layers,
        })
    }

    fn attend(
        &self,
        number: usize,
        x: &Tensor,
        context: &Context,
        cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError> {
        let block = numbered(&self.blocks, number)?;
        let split = |y: &Tensor, heads| {
            let (batch, time, _) = y.size3()?;
            y.f_view([batch, time, heads, self.head_dim])
        };
        let (q, k, v) = match &block.qkv {
            Qkv::Separate { q, k, v } => {
                (q.forward(x, tap)?, k.forward(x, tap)?, v.forward(x, tap)?)
            }
            Qkv::Packed(layer) => {
                let y = layer.forward(x, tap)?;
                let (wide, narrow) = (self.heads * self.head_dim, self.kv_heads * self.head_dim);
                (
                    y.f_narrow(2, 0, wide)?,
                    y.f_narrow(2, wide, narrow)?,
                    y.f_narrow(2, wide + narrow, narrow)?,
                )
            }
        };
        let q = context.rotate(&split(&q, self.heads)?)?;
        let k = context.rotate(&split(&k, self.kv_heads)?)?;
        let v = split(&v, self.kv_heads)?;
        let mixed = attention::attend(self.kernel, number, [&q, &k, &v], context, cache)?;
        block.out.forward(&mixed, tap)
    }

    fn feed_forward(
        &self,
        block: &Block,
        x: &Tensor,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError> {
        let gate = self.activation.forward(&block.gate.forward(x, tap)?)?;
        let up = block.up.forward(x, tap)?;
        block.down.forward(&gate.f_mul(&up)?, tap)
    }
}

impl Block {
    fn load(
        config: &DecoderConfig,
        builder: &mut Builder<'_>,
        prefix: &str,
    ) -> Result<Self, ModelError> {
        let width = config.hidden_size;
        let wide = config.heads * config.head_dim;
        let narrow = config.kv_heads * config.head_dim;
        let inner = config.intermediate_size;
        let linear = |builder: &mut Builder<'_>, name: &str, sizes, bias| {
            builder.linear(format!("{prefix}.{name}"), sizes, bias, Layout::Same)
        };
        let norm = |builder: &mut Builder<'_>, name: &str| {
            builder.rms_norm(&format!("{prefix}.{name}"), width, config.eps)
        };
        // In the order of the forward pass, which is the order of `CausalLm::layers`.
        let before_attention = norm(builder, "input_layernorm")?;
        let qkv = if config.packed_qkv {
            let sizes = (width, wide + 2 * narrow);
            Qkv::Packed(linear(builder, "self_attn.W_pack", sizes, config.biases.qkv)?)
        } else {
            let mut projection =
                |name: &str, outputs| linear(builder, name, (width, outputs), config.biases.qkv);
            Qkv::Separate {
                q: projection("self_attn.q_proj", wide)?,
                k: projection("self_attn.k_proj", narrow)?,
                v: projection("self_attn.v_proj", narrow)?,
            }
        };
        Ok(Self {
            before_attention,
            qkv,
            out: linear(builder, "self_attn.o_proj", (wide, width), config.biases.out)?,
            before_mlp: norm(builder, "post_attention_layernorm")?,
            gate: linear(builder, "mlp.gate_proj", (width, inner), config.biases.mlp)?,
            up: linear(builder, "mlp.up_proj", (width, inner), config.biases.mlp)?,
            down: linear(builder, "mlp.down_proj", (inner, width), config.biases.mlp)?,
        })
    }
}

impl CausalLm for Decoder {
    fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn shape(&self) -> ModelShape {
        self.shape
    }

    fn fingerprint(&self) -> Result<Fingerprint, ModelError> {
        identity::fingerprint("decoder", &self.config, &self.parameters)
    }

    fn blocks(&self) -> usize {
        self.blocks.len()
    }

    fn embed(
        &self,
        ids: &Tensor,
        cache: Option<&KvCache>,
    ) -> Result<(Tensor, Context), ModelError> {
        let places = check_ids(ids, cache, &self.shape, self.limit)?;
        let rotation = self.rope.rotation(&places)?;
        let stream = start_graph(self.embedding.forward(ids)?)?;
        Ok((stream, Context::new(&places, cache, Some(rotation))?))
    }

    fn block(
        &self,
        number: usize,
        stream: &Tensor,
        context: &Context,
        cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError> {
        let block = numbered(&self.blocks, number)?;
        let x = block.before_attention.forward(stream)?;
        let stream = stream.f_add(&self.attend(number, &x, context, cache, tap)?)?;
        let x = block.before_mlp.forward(&stream)?;
        Ok(stream.f_add(&self.feed_forward(block, &x, tap)?)?)
    }

    fn norm(&self, stream: &Tensor) -> Result<Tensor, ModelError> {
        self.norm.forward(stream)
    }

    fn logits(&self, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
        if !self.normalised_head {
            return self.head.forward(hidden, tap);
        }
        let weight = self.head.weight();
        // A row of zeros stays zeros.
        let kind = weight.f_kind()?;
        let length = weight.f_linalg_norm(2, [-1i64].as_slice(), true, kind)?;
        let weight = weight.f_div(&length.f_clamp_min(1e-12)?)?;
        self.head.forward_with(hidden, &weight, tap)
    }
}
