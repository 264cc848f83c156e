//! Reading config.json field by field, with errors that name the field.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{ModelError, layers::Activation};

/// An object in config.json and where it lies.
#[derive(Debug)]
pub(crate) struct Fields {
    path: PathBuf,
    parent: String,
    map: Map<String, Value>,
}

impl Fields {
    /// Reads `config.json` of a model folder.
    pub(crate) fn read(dir: &Path) -> Result<Self, ModelError> {
        let path = dir.join("config.json");
        let text = std::fs::read(&path).map_err(ModelError::io(&path))?;
        match serde_json::from_slice(&text) {
            Ok(map) => Ok(Self { path, parent: String::new(), map }),
            Err(source) => Err(ModelError::Json { path, source }),
        }
    }

    /// The error that `field` is not what is `expected`.
    pub(crate) fn error(&self, field: &str, expected: &str) -> ModelError {
        let found = self.map.get(field).map_or_else(|| "missing".to_owned(), Value::to_string);
        let parent = &self.parent;
        let field = if parent.is_empty() { field.to_owned() } else { format!("{parent}.{field}") };
        ModelError::Config { path: self.path.clone(), field, found, expected: expected.to_owned() }
    }

    /// The field, unless it is absent or null.
    fn value(&self, field: &str) -> Option<&Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.value(field).is_some()
    }

    /// A size that may be left out.
    pub(crate) fn optional_size(&self, field: &str) -> Result<Option<usize>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        // Below 2³¹, so that products of two sizes fit in an i64.
        match value.as_u64().filter(|&size| size > 0 && size < 1 << 31) {
            Some(size) => Ok(Some(size as usize)),
            None => Err(self.error(field, "a whole number above 0")),
        }
    }

    /// A size that must be there.
    pub(crate) fn size(&self, field: &str) -> Result<usize, ModelError> {
        self.optional_size(field)?.ok_or_else(|| self.error(field, "a whole number above 0"))
    }

    pub(crate) fn optional_number(&self, field: &str) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        match value.as_f64().filter(|number| *number > 0.0 && number.is_finite()) {
            Some(number) => Ok(Some(number)),
            None => Err(self.error(field, "a number above 0")),
        }
    }

    pub(crate) fn number(&self, field: &str) -> Result<f64, ModelError> {
        self.optional_number(field)?.ok_or_else(|| self.error(field, "a number above 0"))
    }

    pub(crate) fn flag(&self, field: &str, default: bool) -> Result<bool, ModelError> {
        match self.value(field) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.error(field, "true or false")),
        }
    }

    pub(crate) fn optional_text(&self, field: &str) -> Result<Option<&str>, ModelError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.error(field, "a string")),
        }
    }

    /// A list of strings; empty if absent.
    pub(crate) fn texts(&self, field: &str) -> Result<Vec<&str>, ModelError> {
        let Some(value) = self.value(field) else { return Ok(Vec::new()) };
        let texts = value.as_array().map(|list| list.iter().map(Value::as_str).collect());
        texts.flatten().ok_or_else(|| self.error(field, "a list of strings"))
    }

    /// A nested object.
    pub(crate) fn object(&self, field: &str) -> Result<Option<Fields>, ModelError> {
        match self.value(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Fields {
                path: self.path.clone(),
                parent: field.to_owned(),
                map: map.clone(),
            })),
            Some(_) => Err(self.error(field, "an object")),
        }
    }

    /// The activation under `field`.
    pub(crate) fn activation(
        &self,
        field: &str,
        default: Activation,
    ) -> Result<Activation, ModelError> {
        match self.optional_text(field)? {
            None => Ok(default),
            Some(name) => {
                Activation::from_name(name).ok_or_else(|| self.error(field, Activation::KNOWN))
            }
        }
    }

    /// Refuses any value of `field` but null and `only`.
    pub(crate) fn require(
        &self,
        field: &str,
        only: &Value,
        expected: &str,
    ) -> Result<(), ModelError> {
        match self.value(field) {
            None => Ok(()),
            Some(value) if value == only => Ok(()),
            Some(_) => Err(self.error(field, expected)),
        }
    }
}
