//! A model with an adapter beside its weights, as a model.

use serde_json::json;
use tamis_artifact::Fingerprint;
use tamis_model::{
    Adapter, CausalLm, Chain, Context, KvCache, LayerInfo, ModelError, ModelShape, Parameters, Tap,
    adapted_fingerprint,
};
use tch::Tensor;

use super::Lora;

/// For [`Model::attach`](tamis_model::Model::attach).
impl Adapter for Lora {
    fn tap(&self) -> Box<dyn Tap + '_> {
        Box::new(Lora::tap(self))
    }

    fn fingerprint(&self) -> Result<Fingerprint, ModelError> {
        let weights = Lora::fingerprint(self).map_err(|error| ModelError::Adapter(error.into()))?;
        Ok(json!({ "scale": self.params().scale(), "weights": weights }).into())
    }
}

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

    fn fingerprint(&self) -> Result<Fingerprint, ModelError> {
        let adapter = Adapter::fingerprint(&*self.lora)?;
        Ok(adapted_fingerprint(self.model.fingerprint()?, adapter))
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
        let mut own = self.lora.tap();
        self.model.block(number, stream, context, cache, &mut Chain::new(&mut own, tap))
    }

    fn norm(&self, stream: &Tensor) -> Result<Tensor, ModelError> {
        self.model.norm(stream)
    }

    fn logits(&self, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
        self.model.logits(hidden, &mut Chain::new(&mut self.lora.tap(), tap))
    }
}
