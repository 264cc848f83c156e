//! Sums over the samples of a pool that merge by addition: what fitting and storing have in common.

use serde::{Deserialize, Serialize};
use tamis_gradients::LayerTrace;
use tamis_model::LayerInfo;
use tch::{Kind, Tensor};

use crate::KfacError;

/// How a sample's tokens enter the sums (arXiv 2311.00636).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    /// Every real token is a draw of its own: `A = E[x̃ x̃ᵀ]`, `S = E[g gᵀ]` over tokens.
    #[default]
    Expand,
    /// A sample is one draw: `x̃` is averaged and `g` summed over its real tokens first.
    Reduce,
}

impl Tokens {
    /// Draws of a batch with this mask of real tokens (batch, time).
    pub(crate) fn draws(self, mask: &Tensor) -> Result<f64, KfacError> {
        match self {
            Self::Expand => Ok(mask.f_sum(Kind::Double)?.f_double_value(&[])?),
            Self::Reduce => Ok(mask.size()[0] as f64),
        }
    }
}

/// Sums of one kind over `count` draws of the chosen layers.
pub trait Sums: Sized {
    /// What a store of them is called in its manifest.
    const STORED_AS: &'static str;

    /// Adds one batch. `mask` (batch, time) is 1 at real tokens and 0 at padding; `traces` are those of
    /// the chosen layers in their order, of the samples' *summed* losses.
    ///
    /// # Errors
    /// What LibTorch reports.
    fn add(
        &mut self,
        traces: &[LayerTrace],
        mask: &Tensor,
        tokens: Tokens,
    ) -> Result<(), KfacError>;

    /// Adds the sums of another part of the data.
    ///
    /// # Errors
    /// Sums of other layers, or of layers that share their inputs differently.
    fn merge(&mut self, other: &Self) -> Result<(), KfacError>;

    /// Draws the sums are over: real tokens, or samples under [`Tokens::Reduce`].
    fn count(&self) -> f64;

    /// Whether the sums of layer number `layer` are finite.
    ///
    /// # Errors
    /// What LibTorch reports.
    #[doc(hidden)]
    fn finite(&self, layer: usize) -> Result<bool, KfacError>;

    /// What goes to the disk.
    ///
    /// # Errors
    /// What LibTorch reports.
    #[doc(hidden)]
    fn store(&self) -> Result<Stored, KfacError>;

    /// The sums of `layers` from the disk; `take` reads one tensor by its name.
    ///
    /// # Errors
    /// What `take` reports.
    #[doc(hidden)]
    fn restore(
        layers: &[LayerInfo],
        header: Header,
        take: impl FnMut(&str) -> Result<Tensor, KfacError>,
    ) -> Result<Self, KfacError>;
}

/// What a stored part says beside its tensors.
#[doc(hidden)]
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    /// Draws.
    pub count: f64,
    /// For each layer, the first layer that reads the same input; itself where nothing is shared.
    pub shared_inputs: Vec<usize>,
}

/// Tensors of a part with their names.
#[doc(hidden)]
#[derive(Debug)]
pub struct Stored {
    /// Count and sharing.
    pub header: Header,
    /// Names and tensors.
    pub tensors: Vec<(String, Tensor)>,
}

/// Says which layer differs, by name.
pub(crate) fn refuse_other_layers(one: &[LayerInfo], two: &[LayerInfo]) -> Result<(), KfacError> {
    if let Some((a, b)) = one.iter().zip(two).find(|(a, b)| a != b) {
        let reason = format!("one part has layer {}, the other {}", a.name, b.name);
        return Err(KfacError::Merge { reason });
    }
    if one.len() != two.len() {
        let reason = format!("{} layers and {}", one.len(), two.len());
        return Err(KfacError::Merge { reason });
    }
    Ok(())
}
