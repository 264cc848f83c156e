//! Writing a model folder that this crate and Hugging Face's programs can load.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

use serde_json::{Value, json};
use tch::Tensor;

use crate::{DType, ModelError, Parameters, checkpoint, parameters::Layout, raw};

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
            write_atomic(&out.join(name), |file| {
                file.write_all(&bytes).map_err(ModelError::io(out.join(name)))
            })?;
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
        let place = out.join("config.json");
        write_atomic(&place, |file| file.write_all(&text).map_err(ModelError::io(&place)))
    }

    /// What the weights are kept in.
    pub(crate) fn dtype(&self) -> Result<DType, ModelError> {
        match self.iter().next() {
            Some((_, tensor)) => tensor.f_kind()?.try_into(),
            None => Ok(DType::default()),
        }
    }

    /// Writes one safetensors file: an 8-byte length, a JSON header, the values.
    fn write_weights(&self, path: &Path) -> Result<(), ModelError> {
        let mut tensors = BTreeMap::new();
        for (name, tensor, layout) in self.iter_with_layout() {
            let tensor = match layout {
                Layout::Same => tensor.f_detach()?,
                Layout::Transposed => tensor.f_detach()?.f_transpose(0, 1)?,
            };
            tensors.insert(name, tensor);
        }
        let header = header(&tensors)?;
        write_atomic(path, |file| {
            file.write_all(&(header.len() as u64).to_le_bytes()).map_err(ModelError::io(path))?;
            file.write_all(&header).map_err(ModelError::io(path))?;
            for tensor in tensors.values() {
                raw::for_each_chunk(tensor, |bytes| {
                    file.write_all(bytes).map_err(ModelError::io(path))
                })?;
            }
            Ok(())
        })
    }
}

/// Names, kinds, shapes and places of the tensors, in the order in which their values follow.
fn header(tensors: &BTreeMap<&str, Tensor>) -> Result<Vec<u8>, ModelError> {
    // The header's values start at a multiple of this, so that they can be read in place.
    const ALIGNMENT: usize = 8;
    let mut header = serde_json::Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut offset = 0;
    for (name, tensor) in tensors {
        let kind = tensor.f_kind()?;
        let bytes = tensor.numel() * kind.elt_size_in_bytes();
        let entry = json!({
            "dtype": DType::try_from(kind)?.to_string().to_uppercase(),
            "shape": tensor.size(),
            "data_offsets": [offset, offset + bytes],
        });
        header.insert((*name).to_owned(), entry);
        offset += bytes;
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(text)
}

/// Writes a file beside `path`, makes it durable, and renames it into place.
fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = path.with_file_name(name);
    let mut file = BufWriter::new(File::create(&partial).map_err(ModelError::io(&partial))?);
    let written = write(&mut file)
        .and_then(|()| file.flush().map_err(ModelError::io(&partial)))
        .and_then(|()| file.get_ref().sync_all().map_err(ModelError::io(&partial)))
        .and_then(|()| fs::rename(&partial, path).map_err(ModelError::io(path)))
        // The new name is durable only when its folder is.
        .and_then(|()| match path.parent() {
            Some(dir) => {
                File::open(dir).and_then(|dir| dir.sync_all()).map_err(ModelError::io(dir))
            }
            None => Ok(()),
        });
    if written.is_err() {
        // The first error is the one worth reporting.
        let _ = fs::remove_file(&partial);
    }
    written
}
