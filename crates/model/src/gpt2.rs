//! GPT-2: learned positions, layer norms, packed attention weights stored transposed.

use serde::Serialize;
use tamis_artifact::Fingerprint;
use tch::{Device, Tensor};

use crate::{
    Attention, CausalLm, Context, KvCache, LayerInfo, LoadOptions, ModelError, ModelShape,
    Parameters, Tap, attention,
    checkpoint::Checkpoint,
    config::Fields,
    identity,
    input::{Limit, check_ids, numbered, start_graph},
    layers::{Activation, Builder, Embedding, LayerNorm, Linear},
    parameters::Layout,
};

/// What every name starts with in the model, and in most checkpoints.
const PREFIX: &str = "transformer.";

/// Settings, checked: all that is read of config.json.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Gpt2Config {
    vocab_size: usize,
    width: usize,
    inner: usize,
    blocks: usize,
    heads: usize,
    positions: usize,
    eps: f64,
    activation: Activation,
    tied: bool,
}

impl Gpt2Config {
    pub(crate) fn read(config: &Fields) -> Result<Self, ModelError> {
        let same = "as GPT-2 has it";
        config.require("scale_attn_weights", &true.into(), &format!("true, {same}"))?;
        for field in ["scale_attn_by_inverse_layer_idx", "add_cross_attention"] {
            config.require(field, &false.into(), &format!("false, {same}"))?;
        }
        let width = config.size("n_embd")?;
        let heads = config.size("n_head")?;
        if width % heads != 0 {
            return Err(config.error("n_head", &format!("a divisor of `n_embd` ({width})")));
        }
        Ok(Self {
            vocab_size: config.size("vocab_size")?,
            width,
            inner: config.optional_size("n_inner")?.unwrap_or(4 * width),
            blocks: config.size("n_layer")?,
            heads,
            positions: config.size("n_positions")?,
            eps: config.optional_number("layer_norm_epsilon")?.unwrap_or(1e-5),
            activation: config.activation("activation_function", Activation::GeluTanh)?,
            tied: config.flag("tie_word_embeddings", true)?,
        })
    }
}

/// A GPT-2 model.
#[derive(Debug)]
pub(crate) struct Gpt2 {
    config: Gpt2Config,
    shape: ModelShape,
    limit: Limit,
    kernel: Attention,
    heads: i64,
    tokens: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
    activation: Activation,
    parameters: Parameters,
    layers: Vec<LayerInfo>,
}

#[derive(Debug)]
struct Block {
    before_attention: LayerNorm,
    qkv: Linear,
    out: Linear,
    before_mlp: LayerNorm,
    up: Linear,
    down: Linear,
}

impl Gpt2 {
    /// Reads the weights that `config` describes.
    pub(crate) fn load(
        config: &Gpt2Config,
        checkpoint: &Checkpoint,
        options: &LoadOptions,
        device: Device,
    ) -> Result<Self, ModelError> {
        let mut builder = Builder::new(checkpoint, options.kind, device);
        if !checkpoint.contains("transformer.wte.weight") && checkpoint.contains("wte.weight") {
            builder.strip_prefix(PREFIX);
        }
        let width = config.width;
        let tokens = builder.embedding("transformer.wte", config.vocab_size, width)?;
        let positions = builder.embedding("transformer.wpe", config.positions, width)?;
        let blocks = (0..config.blocks)
            .map(|number| Block::load(config, &mut builder, &format!("{PREFIX}h.{number}")))
            .collect::<Result<_, _>>()?;
        let norm = builder.layer_norm("transformer.ln_f", width, config.eps)?;
        let head = builder.head("lm_head", &tokens, config.tied)?;
        let tied = config.tied;
        let (parameters, layers) = builder.finish(|name| {
            // Causal masks that older releases stored, and the copy of a tied head.
            name.ends_with(".attn.bias")
                || name.ends_with(".attn.masked_bias")
                || (tied && name == "lm_head.weight")
        })?;
        Ok(Self {
            config: config.clone(),
            shape: ModelShape {
                vocab_size: config.vocab_size,
                hidden_size: width,
                max_positions: config.positions,
                device,
                kind: options.kind.kind(),
            },
            limit: Limit { tokens: config.positions, field: "n_positions" },
            kernel: options.attention,
            heads: config.heads as i64,
            tokens,
            positions,
            blocks,
            norm,
            head,
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
        let (batch, time, width) = x.size3()?;
        let packed = block.qkv.forward(x, tap)?;
        let part = |place: i64| {
            packed.f_narrow(2, place * width, width)?.f_view([
                batch,
                time,
                self.heads,
                width / self.heads,
            ])
        };
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let mixed = attention::attend(self.kernel, number, [&q, &k, &v], context, cache)?;
        block.out.forward(&mixed, tap)
    }
}

impl Block {
    fn load(
        config: &Gpt2Config,
        builder: &mut Builder<'_>,
        prefix: &str,
    ) -> Result<Self, ModelError> {
        let (width, inner) = (config.width, config.inner);
        let linear = |builder: &mut Builder<'_>, name: &str, sizes| {
            builder.linear(format!("{prefix}.{name}"), sizes, true, Layout::Transposed)
        };
        let norm = |builder: &mut Builder<'_>, name: &str| {
            builder.layer_norm(&format!("{prefix}.{name}"), width, config.eps)
        };
        // In the order of the forward pass, which is the order of `CausalLm::layers`.
        Ok(Self {
            before_attention: norm(builder, "ln_1")?,
            qkv: linear(builder, "attn.c_attn", (width, 3 * width))?,
            out: linear(builder, "attn.c_proj", (width, width))?,
            before_mlp: norm(builder, "ln_2")?,
            up: linear(builder, "mlp.c_fc", (width, inner))?,
            down: linear(builder, "mlp.c_proj", (inner, width))?,
        })
    }
}

impl CausalLm for Gpt2 {
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
        identity::fingerprint("gpt2", &self.config, &self.parameters)
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
        let positions = self.positions.forward(&places.positions(self.shape.device)?)?;
        let stream = start_graph(self.tokens.forward(ids)?.f_add(&positions)?)?;
        Ok((stream, Context::new(&places, cache, None)?))
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
        let x = block.up.forward(&block.before_mlp.forward(&stream)?, tap)?;
        let x = self.activation.forward(&x)?;
        Ok(stream.f_add(&block.down.forward(&x, tap)?)?)
    }

    fn norm(&self, stream: &Tensor) -> Result<Tensor, ModelError> {
        self.norm.forward(stream)
    }

    fn logits(&self, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
        self.head.forward(hidden, tap)
    }
}
