//! A model with an adapter beside its weights, as a model.

use tamis_model::{
    CausalLm, Context, KvCache, LayerId, LayerInfo, ModelError, ModelShape, Parameters, Tap,
};
use tch::{TchError, Tensor};

use super::{Lora, LoraTap};

/// A model whose linear layers have an adapter's branch added, without changing its weights: for any
/// pass that takes a [`CausalLm`].
///
/// The adapter comes first at every layer: a tap of the caller sees `x` and the `y` that the adapted
/// layer gives, and so gradients with respect to `y` are those of the merged model. The
/// [`parameters`](CausalLm::parameters) are those of the model alone.
///
/// Both are borrowed exclusively because a model may be handed to another thread, though not shared
/// with one; neither is changed.
pub struct Adapted<'a> {
    model: &'a mut dyn CausalLm,
    lora: &'a mut Lora,
}

impl<'a> Adapted<'a> {
    /// `model` with `lora`, which was made or loaded for it.
    pub fn new(model: &'a mut dyn CausalLm, lora: &'a mut Lora) -> Self {
        Self { model, lora }
    }

    /// The adapter.
    pub fn lora(&self) -> &Lora {
        self.lora
    }

    fn then<'t>(&'t self, tap: &'t mut dyn Tap) -> Then<'t> {
        Then { first: self.lora.tap(), second: tap }
    }
}

impl std::fmt::Debug for Adapted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adapted")
            .field("model", &self.model.shape())
            .field("lora", &self.lora.params())
            .finish()
    }
}

impl CausalLm for Adapted<'_> {
    fn layers(&self) -> &[LayerInfo] {
        self.model.layers()
    }

    fn parameters(&self) -> &Parameters {
        self.model.parameters()
    }

    fn shape(&self) -> ModelShape {
        self.model.shape()
    }

    fn blocks(&self) -> usize {
        self.model.blocks()
    }

    fn embed(
        &self,
        ids: &Tensor,
        cache: Option<&KvCache>,
    ) -> Result<(Tensor, Context), ModelError> {
        self.model.embed(ids, cache)
    }

    fn block(
        &self,
        number: usize,
        stream: &Tensor,
        context: &Context,
        cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError> {
        self.model.block(number, stream, context, cache, &mut self.then(tap))
    }

    fn norm(&self, stream: &Tensor) -> Result<Tensor, ModelError> {
        self.model.norm(stream)
    }

    fn logits(&self, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
        self.model.logits(hidden, &mut self.then(tap))
    }
}

/// Two taps, one after the other.
struct Then<'a> {
    first: LoraTap<'a>,
    second: &'a mut dyn Tap,
}

impl Tap for Then<'_> {
    fn linear(&mut self, layer: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        let y = self.first.linear(layer, x, y)?;
        self.second.linear(layer, x, y)
    }
}
