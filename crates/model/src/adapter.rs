//! What is put beside a model's weights without changing them.

use serde_json::{Value, json};
use tamis_artifact::Fingerprint;
use tch::{TchError, Tensor};

use crate::{LayerId, ModelError, Tap};

/// A change of what a model computes that leaves its weights as they are, such as a LoRA adapter;
/// [`Model::attach`](crate::Model::attach) brings it into every pass.
pub trait Adapter: Send {
    /// What it does in one forward pass.
    fn tap(&self) -> Box<dyn Tap + '_>;

    /// What decides what it does.
    ///
    /// # Errors
    /// Numbers that cannot be read.
    fn fingerprint(&self) -> Result<Fingerprint, ModelError>;
}

/// Two taps, one after the other: the second sees the `y` that the first gives.
pub struct Chain<'a> {
    first: &'a mut dyn Tap,
    second: &'a mut dyn Tap,
}

impl<'a> Chain<'a> {
    /// `first`, then `second`.
    pub fn new(first: &'a mut dyn Tap, second: &'a mut dyn Tap) -> Self {
        Self { first, second }
    }
}

impl std::fmt::Debug for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").finish_non_exhaustive()
    }
}

impl Tap for Chain<'_> {
    fn linear(&mut self, layer: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        let y = self.first.linear(layer, x, y)?;
        self.second.linear(layer, x, y)
    }
}

/// The fingerprint of a model with an adapter: that of the `model` with the adapter's as its part
/// `adapter`; with several adapters a list of them.
pub fn adapted_fingerprint(model: Fingerprint, adapter: Fingerprint) -> Fingerprint {
    let adapter = Value::from(adapter);
    match Value::from(model) {
        Value::Object(mut parts) => {
            let adapter = match parts.remove("adapter") {
                None => adapter,
                Some(Value::Array(mut adapters)) => {
                    adapters.push(adapter);
                    adapters.into()
                }
                Some(first) => json!([first, adapter]),
            };
            parts.insert("adapter".to_owned(), adapter);
            Value::Object(parts).into()
        }
        whole => json!({ "base": whole, "adapter": adapter }).into(),
    }
}
