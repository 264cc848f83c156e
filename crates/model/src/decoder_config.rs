//! What config.json says of each member of the Llama family.

use serde_json::json;

use crate::{
    ModelError,
    config::Fields,
    decoder::{Biases, DecoderConfig},
    input::Limit,
    layers::Activation,
    rope::RopeConfig,
};

/// Llama: biases as the configuration says.
pub(crate) fn llama(config: &Fields) -> Result<DecoderConfig, ModelError> {
    let attention_bias = config.flag("attention_bias", false)?;
    Ok(DecoderConfig {
        biases: Biases {
            qkv: attention_bias,
            out: attention_bias,
            mlp: config.flag("mlp_bias", false)?,
        },
        ..common(config)?
    })
}

/// Mistral: Llama without biases, perhaps with a sliding window.
pub(crate) fn mistral(config: &Fields) -> Result<DecoderConfig, ModelError> {
    let mut decoder = common(config)?;
    if let Some(window) = config.optional_size("sliding_window")? {
        decoder.limit = shorter(decoder.limit, window);
    }
    Ok(decoder)
}

/// Qwen2: Llama with biases on query, key and value only.
pub(crate) fn qwen2(config: &Fields) -> Result<DecoderConfig, ModelError> {
    let mut decoder =
        DecoderConfig { biases: Biases { qkv: true, ..Biases::default() }, ..common(config)? };
    let layer_types = config.texts("layer_types")?;
    let slides =
        config.flag("use_sliding_window", false)? || layer_types.contains(&"sliding_attention");
    if slides {
        decoder.limit = shorter(decoder.limit, config.size("sliding_window")?);
    }
    Ok(decoder)
}

/// Baichuan2 7B: packed projections, normalised head. The 13B model has no rotary embedding, which
/// shows in its configuration by the missing `max_position_embeddings`.
pub(crate) fn baichuan(config: &Fields) -> Result<DecoderConfig, ModelError> {
    if !config.has("max_position_embeddings") {
        return Err(config.error(
            "max_position_embeddings",
            "a whole number: only Baichuan2 with rotary embedding (7B) is supported, not ALiBi (13B)",
        ));
    }
    Ok(DecoderConfig { packed_qkv: true, normalised_head: true, ..common(config)? })
}

/// What all have in common; no biases.
fn common(config: &Fields) -> Result<DecoderConfig, ModelError> {
    let hidden_size = config.size("hidden_size")?;
    let heads = config.size("num_attention_heads")?;
    let kv_heads = config.optional_size("num_key_value_heads")?.unwrap_or(heads);
    if heads % kv_heads != 0 {
        let expected = format!("a divisor of `num_attention_heads` ({heads})");
        return Err(config.error("num_key_value_heads", &expected));
    }
    let head_dim = match config.optional_size("head_dim")? {
        Some(head_dim) => head_dim,
        None if hidden_size % heads == 0 => hidden_size / heads,
        None => {
            let expected = format!("a divisor of `hidden_size` ({hidden_size})");
            return Err(config.error("num_attention_heads", &expected));
        }
    };
    if head_dim % 2 != 0 {
        let field = if config.has("head_dim") { "head_dim" } else { "num_attention_heads" };
        return Err(config.error(field, "an even number of dimensions per head"));
    }
    config.require("is_decoder", &json!(true), "true or left out")?;
    Ok(DecoderConfig {
        vocab_size: config.size("vocab_size")?,
        hidden_size,
        intermediate_size: config.size("intermediate_size")?,
        blocks: config.size("num_hidden_layers")?,
        heads,
        kv_heads,
        head_dim,
        eps: config.optional_number("rms_norm_eps")?.unwrap_or(1e-6),
        rope: RopeConfig::read(config)?,
        activation: config.activation("hidden_act", Activation::Silu)?,
        limit: Limit {
            tokens: config.size("max_position_embeddings")?,
            field: "max_position_embeddings",
        },
        tied: config.flag("tie_word_embeddings", false)?,
        biases: Biases::default(),
        packed_qkv: false,
        normalised_head: false,
    })
}

/// Within the window, sliding attention is plain causal attention; beyond it this crate refuses.
fn shorter(limit: Limit, window: usize) -> Limit {
    if window < limit.tokens { Limit { tokens: window, field: "sliding_window" } } else { limit }
}
