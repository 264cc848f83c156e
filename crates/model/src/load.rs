//! From a Hugging Face folder to a model.

use std::path::Path;

use serde_json::Value;

use crate::{
    CausalLm, LoadOptions, ModelError,
    checkpoint::Checkpoint,
    config::Fields,
    decoder::{Decoder, DecoderConfig},
    decoder_config,
    gpt2::{Gpt2, Gpt2Config},
};

/// Reads the settings of one member of the Llama family.
type Read = fn(&Fields) -> Result<DecoderConfig, ModelError>;

/// The Llama family: `model_type`, the class in `architectures`, and how to read the rest.
const FAMILY: [(&str, &str, Read); 4] = [
    ("llama", "LlamaForCausalLM", decoder_config::llama),
    ("mistral", "MistralForCausalLM", decoder_config::mistral),
    ("qwen2", "Qwen2ForCausalLM", decoder_config::qwen2),
    ("baichuan", "BaichuanForCausalLM", decoder_config::baichuan),
];

/// Loads a causal language model from a Hugging Face folder, frozen.
///
/// The folder holds `config.json` and the weights in safetensors, single or sharded; see the crate
/// documentation for the architectures. Weights are converted to `options.kind` and moved to
/// `options.device`.
///
/// # Errors
/// What the folder lacks or holds that cannot be honoured: an unknown architecture or option, a
/// missing, damaged or non-finite weight, one of another shape, one that the architecture does not
/// know; a CUDA device that is not there.
pub fn load(dir: impl AsRef<Path>, options: &LoadOptions) -> Result<Box<dyn CausalLm>, ModelError> {
    let dir = dir.as_ref();
    let config = Fields::read(dir)?;
    config.require(
        "quantization_config",
        &Value::Null,
        "left out: weights must be F32, F16, BF16 or F64",
    )?;
    let model_type = config.optional_text("model_type")?.unwrap_or_default();
    if model_type == "gpt2" {
        check_class(&config, "GPT2LMHeadModel")?;
        let gpt2 = Gpt2Config::read(&config)?;
        let device = options.device.resolve()?;
        let model = Gpt2::load(&gpt2, &Checkpoint::open(dir)?, options, device)?;
        return Ok(Box::new(model));
    }
    let Some((_, class, read)) = FAMILY.iter().find(|(name, ..)| *name == model_type) else {
        return Err(config.error("model_type", "llama, mistral, qwen2, gpt2 or baichuan"));
    };
    check_class(&config, class)?;
    let decoder = read(&config)?;
    let device = options.device.resolve()?;
    let model = Decoder::load(&decoder, &Checkpoint::open(dir)?, options, device)?;
    Ok(Box::new(model))
}

/// Refuses heads for other tasks, such as classification; no `architectures` at all will do.
fn check_class(config: &Fields, class: &str) -> Result<(), ModelError> {
    let found = config.texts("architectures")?;
    if found.is_empty() || found.contains(&class) {
        return Ok(());
    }
    Err(config.error("architectures", class))
}
