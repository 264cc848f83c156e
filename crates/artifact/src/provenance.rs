//! Where an artefact comes from, collected by the stage that writes it.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{ArtifactError, Fingerprint, Manifest};

/// Everything that decides what a stage writes, under the same names in every stage: `source` (the rows), `encoder` (how
/// they become tokens), `model`, `settings`, and what other artefacts it is made from.
///
/// A stage collects it from the things it is given, so that nobody who calls a stage can forget an ingredient. What cannot
/// change a result (threads, progress, paths) is left out.
///
/// ```
/// use tamis_artifact::{Fingerprint, Provenance};
///
/// let provenance = Provenance::new()
///     .source(Fingerprint::from("rows"))
///     .settings(&("mean", 0.1))?
///     .made_from("factors", Fingerprint::from("a store"));
/// let manifest = provenance.manifest("scores", 1);
/// assert_eq!(manifest.field("made_from.factors"), Some(&"a store".into()));
/// # Ok::<(), tamis_artifact::ArtifactError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    fields: Map<String, Value>,
    made_from: Map<String, Value>,
}

impl Provenance {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The rows.
    #[must_use]
    pub fn source(self, fingerprint: Fingerprint) -> Self {
        self.field("source", fingerprint)
    }

    /// How rows become tokens.
    #[must_use]
    pub fn encoder(self, fingerprint: Fingerprint) -> Self {
        self.field("encoder", fingerprint)
    }

    /// The model, with its adapter.
    #[must_use]
    pub fn model(self, fingerprint: Fingerprint) -> Self {
        self.field("model", fingerprint)
    }

    /// The settings of the stage: those that decide its numbers.
    ///
    /// # Errors
    /// [`ArtifactError::BadField`] if they have no JSON form.
    pub fn settings(self, settings: &impl Serialize) -> Result<Self, ArtifactError> {
        Ok(self.field("settings", Fingerprint::of(settings)?))
    }

    /// Another artefact, or a further ingredient, by the part it plays.
    #[must_use]
    pub fn made_from(mut self, part: &str, fingerprint: Fingerprint) -> Self {
        self.made_from.insert(part.to_owned(), fingerprint.into());
        self
    }

    /// As the manifest of a store of this kind, whose layout on disk has the version `format`.
    pub fn manifest(&self, kind: &str, format: u32) -> Manifest {
        let mut fields = self.fields.clone();
        if !self.made_from.is_empty() {
            fields.insert("made_from".to_owned(), Value::Object(self.made_from.clone()));
        }
        Manifest { kind: kind.to_owned(), format, fields }
    }

    /// The same as one fingerprint, for stages that are built on this one without a store between them.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from(Value::Object(self.manifest("", 0).fields))
    }

    fn field(mut self, name: &str, fingerprint: Fingerprint) -> Self {
        self.fields.insert(name.to_owned(), fingerprint.into());
        self
    }
}
