//! Adapters in the folder layout of PEFT, the adapter library of Hugging Face.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};
use tamis_artifact::{ParameterError, write_atomic};
use tamis_model::{CausalLm, LayerPattern, write_tensors};
use tch::{Tensor, no_grad};

use super::{Adapter, Lora, LoraParams, adapter_kind, check_layer};
use crate::{FinetuneError, tensor_file};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
/// What PEFT puts before the names of the wrapped model.
const PREFIX: &str = "base_model.model.";
/// Settings under which a PEFT adapter computes something else than a [`Lora`] does, unless they
/// are absent, null, false, empty, or as here.
const PLAIN: [(&str, &str); 17] = [
    ("bias", "none"),
    // Others change the weights of the model as well.
    ("init_lora_weights", "gaussian"),
    ("use_dora", ""),
    ("use_bdlora", ""),
    ("use_qalora", ""),
    ("lora_bias", ""),
    ("rank_pattern", ""),
    ("alpha_pattern", ""),
    ("modules_to_save", ""),
    ("layer_replication", ""),
    ("trainable_token_indices", ""),
    ("target_parameters", ""),
    ("alora_invocation_tokens", ""),
    ("arrow_config", ""),
    ("kasa_config", ""),
    ("velora_config", ""),
    ("ensure_weight_tying", ""),
];

impl Lora {
    /// Writes `adapter_config.json` and `adapter_model.safetensors` to the folder `out`, as PEFT
    /// reads them; `source` is the folder of the model the adapter belongs to.
    ///
    /// Each file is written beside its place and renamed into it, the weights last.
    ///
    /// # Errors
    /// A file that cannot be read or written, or what LibTorch reports.
    pub fn save_pretrained(
        &self,
        model: &dyn CausalLm,
        source: impl AsRef<Path>,
        out: impl AsRef<Path>,
    ) -> Result<(), FinetuneError> {
        let (source, out) = (source.as_ref(), out.as_ref());
        fs::create_dir_all(out).map_err(FinetuneError::io("create the folder", out))?;
        let config = self.config(model, source)?;
        let path = out.join(CONFIG);
        let text = serde_json::to_string_pretty(&config)
            .map_err(|source| FinetuneError::Json { path: path.clone(), source })?;
        write_atomic(path, text + "\n")?;
        let tensors = self
            .parameters()
            .map(|(name, tensor)| (format!("{PREFIX}{name}"), tensor.shallow_clone()));
        Ok(write_tensors(out.join(WEIGHTS), tensors)?)
    }

    fn config(&self, model: &dyn CausalLm, source: &Path) -> Result<Value, FinetuneError> {
        let base = read_json(&source.join("config.json"))?;
        let alpha = self.params.alpha;
        // PEFT declares an integer; a whole number is written as one.
        let alpha = if alpha.fract() == 0.0 { json!(alpha as i64) } else { json!(alpha) };
        Ok(json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": source,
            "r": self.params.rank,
            "lora_alpha": alpha,
            "lora_dropout": self.params.dropout,
            "use_rslora": self.params.rslora,
            "target_modules": self.target_modules(model),
            "bias": "none",
            // GPT-2 keeps its weights transposed.
            "fan_in_fan_out": base.get("model_type").is_some_and(|kind| kind == "gpt2"),
            "init_lora_weights": true,
            "inference_mode": true,
            "modules_to_save": null,
        }))
    }

    /// The last parts of the layers' names where they tell the adapted layers from the others, and
    /// their full names where not.
    fn target_modules(&self, model: &dyn CausalLm) -> BTreeSet<String> {
        let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
        let short: BTreeSet<String> = self.layers().map(last).collect();
        let matched = model.layers().iter().filter(|layer| short.contains(&last(&layer.name)));
        if matched.count() == self.adapters.len() {
            short
        } else {
            self.layers().map(str::to_owned).collect()
        }
    }

    /// Reads an adapter for `model` from a folder that [`save_pretrained`](Lora::save_pretrained)
    /// or PEFT wrote.
    ///
    /// # Errors
    /// A missing or damaged file, a setting that would make it another kind of adapter, a tensor
    /// of a layer that the model does not have or that does not fit it, or the heads that
    /// [`Lora::new`] refuses.
    pub fn load(dir: impl AsRef<Path>, model: &dyn CausalLm) -> Result<Self, FinetuneError> {
        let dir = dir.as_ref();
        let path = dir.join(CONFIG);
        let config = read_json(&path)?;
        let mut params = read_params(&config).map_err(|(field, expected)| {
            let found = config.get(field).map_or("missing".to_owned(), Value::to_string);
            FinetuneError::File {
                path: path.clone(),
                problem: format!("`{field}` is {found}, expected {expected}"),
            }
        })?;
        let path = dir.join(WEIGHTS);
        let mut tensors = tensor_file::read(&path)?;
        let bad = |problem: String| FinetuneError::File { path: path.clone(), problem };
        let (device, kind) = (model.shape().device, adapter_kind(model.shape().kind));
        let rank = params.rank as i64;
        let mut adapters = Vec::new();
        for layer in model.layers() {
            let mut take =
                |which: &str, shape: [i64; 2]| -> Result<Option<Tensor>, FinetuneError> {
                    let name = format!("{PREFIX}{}.lora_{which}.weight", layer.name);
                    let Some(tensor) = tensors.remove(&name) else { return Ok(None) };
                    if tensor.size() != shape {
                        let found = tensor.size();
                        return Err(bad(format!("`{name}` is {found:?}, expected {shape:?}")));
                    }
                    if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                        return Err(bad(format!("`{name}` holds values that are not finite")));
                    }
                    Ok(Some(tensor.f_to_kind(kind)?.f_to_device(device)?))
                };
            let a = take("A", [rank, layer.in_features])?;
            let b = take("B", [layer.out_features, rank])?;
            match (a, b) {
                (Some(a), Some(b)) => {
                    check_layer(layer, model)?;
                    adapters.push(Adapter { layer: layer.id, name: layer.name.clone(), a, b });
                }
                (None, None) => {}
                _ => return Err(bad(format!("only one of the two matrices of {}", layer.name))),
            }
        }
        if let Some(name) = tensors.keys().next() {
            return Err(bad(format!("`{name}` belongs to no linear layer of the model")));
        }
        if adapters.is_empty() {
            return Err(bad("it holds no adapter".to_owned()));
        }
        let names: Vec<String> = adapters.iter().map(|a| a.name.replace('.', r"\.")).collect();
        params.target = format!("^({})$", names.join("|")).parse::<LayerPattern>()?;
        Ok(Self::of(params, adapters, model))
    }

    /// Overwrites the matrices in place with those that [`save_pretrained`](Lora::save_pretrained)
    /// wrote for an adapter of the same settings.
    pub(crate) fn restore(&self, dir: &Path) -> Result<(), FinetuneError> {
        let path = dir.join(WEIGHTS);
        let tensors = tensor_file::read(&path)?;
        no_grad(|| {
            for (name, tensor) in self.parameters() {
                let found = tensors.get(&format!("{PREFIX}{name}"));
                let found = found.filter(|found| found.size() == tensor.size());
                let found = found.ok_or_else(|| FinetuneError::File {
                    path: path.clone(),
                    problem: format!("`{name}` is missing or of another shape"),
                })?;
                tensor.f_detach()?.f_copy_(found)?;
            }
            Ok(())
        })
    }
}

fn read_json(path: &Path) -> Result<Map<String, Value>, FinetuneError> {
    let text = fs::read(path).map_err(FinetuneError::io("read", path))?;
    serde_json::from_slice(&text)
        .map_err(|source| FinetuneError::Json { path: path.to_owned(), source })
}

/// The settings in an `adapter_config.json`, or the field that is not as it must be.
fn read_params(config: &Map<String, Value>) -> Result<LoraParams, (&'static str, String)> {
    let wrong = |field: &'static str, expected: &str| (field, expected.to_owned());
    if config.get("peft_type").is_none_or(|kind| kind != "LORA") {
        return Err(wrong("peft_type", "\"LORA\""));
    }
    for (field, plain) in PLAIN {
        let ordinary = config.get(field).is_none_or(|value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Bool(true) => field == "init_lora_weights",
            Value::String(text) => text == plain,
            Value::Array(items) => items.is_empty(),
            Value::Object(items) => items.is_empty(),
            _ => false,
        });
        if !ordinary {
            return Err(wrong(field, if plain.is_empty() { "nothing" } else { plain }));
        }
    }
    let number = |field: &'static str, default: Option<f64>| match config.get(field) {
        None => default.ok_or_else(|| wrong(field, "a number")),
        Some(value) => value.as_f64().ok_or_else(|| wrong(field, "a number")),
    };
    let flag = |field: &'static str| match config.get(field) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| wrong(field, "true or false")),
    };
    let rank = config.get("r").and_then(Value::as_u64);
    let params = LoraParams {
        rank: rank.ok_or_else(|| wrong("r", "a whole number"))? as usize,
        alpha: number("lora_alpha", None)?,
        dropout: number("lora_dropout", Some(0.0))?,
        rslora: flag("use_rslora")?,
        ..LoraParams::default()
    };
    params.check().map_err(|ParameterError { name, expected, .. }| match name {
        "lora.rank" => ("r", expected),
        "lora.alpha" => ("lora_alpha", expected),
        _ => ("lora_dropout", expected),
    })?;
    Ok(params)
}
