//! What names an ingredient of an artefact.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ArtifactError;
use crate::hash::hash_bytes;

/// Names everything about one ingredient (rows, a model, settings, another store) that decides what is made of it: equal
/// fingerprints give equal results.
///
/// It is JSON. An object says which part differs when a store is refused: `source.rows`, `model.weights`. It holds no
/// path, time or host name.
///
/// ```
/// use tamis_artifact::Fingerprint;
///
/// let table = Fingerprint::from("customers, export of 2026-03-01");
/// let numbers = Fingerprint::hash(b"1,2,3");
/// let settings = Fingerprint::of(&(0.1, "mean"))?;
/// # let _ = (table, numbers, settings);
/// # Ok::<(), tamis_artifact::ArtifactError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(Value);

impl Fingerprint {
    /// That of a value with a JSON form, such as a struct of settings: the value itself.
    ///
    /// # Errors
    /// [`ArtifactError::BadField`] for a value without one (a map whose keys are not strings).
    pub fn of(value: &impl Serialize) -> Result<Self, ArtifactError> {
        serde_json::to_value(value)
            .map(Self)
            .map_err(|source| ArtifactError::BadField { field: "fingerprint".to_owned(), source })
    }

    /// That of some bytes: their BLAKE3 hash.
    pub fn hash(bytes: impl AsRef<[u8]>) -> Self {
        Self::from(hash_bytes(bytes.as_ref()))
    }

    /// As JSON.
    pub fn value(&self) -> &Value {
        &self.0
    }
}

impl From<&str> for Fingerprint {
    fn from(text: &str) -> Self {
        Self(Value::from(text))
    }
}

impl From<String> for Fingerprint {
    fn from(text: String) -> Self {
        Self(Value::from(text))
    }
}

impl From<Value> for Fingerprint {
    fn from(value: Value) -> Self {
        Self(value)
    }
}

impl From<Fingerprint> for Value {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::String(text) => out.pad(text),
            other => write!(out, "{other}"),
        }
    }
}
