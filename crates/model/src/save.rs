//! Writing a model folder that this crate and Hugging Face's programs can load.

use std::{fs, path::Path};

use serde_json::Value;
use tamis_artifact::write_atomic;

use crate::{DType, ModelError, Parameters, checkpoint, parameters::Layout, write_tensors};

/// Files of the source folder that belong to any model made from it.
const COMPANIONS: [&str; 10] = [
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
];

impl Parameters {
    /// Writes the weights as `model.safetensors` to `out`, together with the configuration and
    /// tokenizer files of the folder `source` the model was loaded from.
    ///
    /// Names and layout are those of the checkpoint. The weights keep their kind, and the kind
    /// named in the written `config.json` is made to agree. Each file is written beside its place
    /// and renamed into it, the weights last, so an interrupted call leaves no half of a file.
    ///
    /// # Errors
    /// A file that cannot be read or written, or what LibTorch reports.
    pub fn save_pretrained(
        &self,
        source: impl AsRef<Path>,
        out: impl AsRef<Path>,
    ) -> Result<(), ModelError> {
        let (source, out) = (source.as_ref(), out.as_ref());
        fs::create_dir_all(out).map_err(ModelError::io(out))?;
        self.write_config(source, out)?;
        for entry in fs::read_dir(source).map_err(ModelError::io(source))? {
            let path = entry.map_err(ModelError::io(source))?.path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
            // The Python files are what `auto_map` in config.json refers to.
            if !COMPANIONS.contains(&name) && path.extension().is_none_or(|kind| kind != "py") {
                continue;
            }
            let bytes = fs::read(&path).map_err(ModelError::io(&path))?;
            write_atomic(out.join(name), bytes)?;
        }
        self.write_weights(&out.join(checkpoint::SINGLE))
    }

    /// Copies config.json, correcting the kind of the weights.
    fn write_config(&self, source: &Path, out: &Path) -> Result<(), ModelError> {
        let path = source.join("config.json");
        let json_error = |source| ModelError::Json { path: path.clone(), source };
        let text = fs::read(&path).map_err(ModelError::io(&path))?;
        let mut config: Value = serde_json::from_slice(&text).map_err(json_error)?;
        let kind = self.dtype()?.config_name();
        let mut changed = false;
        for field in ["dtype", "torch_dtype"] {
            if let Some(value) = config.get_mut(field).filter(|value| *value != kind) {
                *value = kind.into();
                changed = true;
            }
        }
        let text =
            if changed { serde_json::to_vec_pretty(&config).map_err(json_error)? } else { text };
        Ok(write_atomic(out.join("config.json"), text)?)
    }

    /// What the weights are kept in.
    pub(crate) fn dtype(&self) -> Result<DType, ModelError> {
        match self.iter().next() {
            Some((_, tensor)) => tensor.f_kind()?.try_into(),
            None => Ok(DType::default()),
        }
    }

    fn write_weights(&self, path: &Path) -> Result<(), ModelError> {
        let mut tensors = Vec::new();
        for (name, tensor, layout) in self.iter_with_layout() {
            let tensor = match layout {
                Layout::Same => tensor.f_detach()?,
                Layout::Transposed => tensor.f_detach()?.f_transpose(0, 1)?,
            };
            tensors.push((name, tensor));
        }
        write_tensors(path, tensors)
    }
}
