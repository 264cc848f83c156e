//! What every causal language model here can do.

use tamis_artifact::Fingerprint;
use tch::{Tensor, no_grad};

use crate::{Context, KvCache, LayerInfo, ModelError, ModelShape, Parameters, Tap};

/// A causal language model whose linear layers can be tapped.
///
/// Inputs are right-padded and need no attention mask: in a causal model padding comes after every
/// real token and so cannot be seen by one.
pub trait CausalLm: Send {
    /// Every linear layer, in the order of the forward pass; the head is the last.
    fn layers(&self) -> &[LayerInfo];

    /// Every parameter under its name in the checkpoint; tied ones once.
    fn parameters(&self) -> &Parameters;

    /// Sizes that callers need: vocabulary, width, longest input.
    fn shape(&self) -> ModelShape;

    /// Everything that decides what the model computes, but for rounding: its code and settings
    /// (`config`), its `weights` with their number format (`dtype`), its `adapter` if it has one. A
    /// refused store says which of these differs.
    ///
    /// Models of the same fingerprint give the same numbers on the same machine.
    ///
    /// # Errors
    /// What LibTorch reports.
    fn fingerprint(&self) -> Result<Fingerprint, ModelError>;

    /// Number of decoder blocks.
    fn blocks(&self) -> usize;

    /// What enters the first block: ids (batch, time) of `Kind::Int64` to (batch, time, width), and
    /// what all blocks of this forward pass share. With a cache, `ids` follow the tokens in it.
    ///
    /// # Errors
    /// Those of [`hidden`](CausalLm::hidden).
    fn embed(&self, ids: &Tensor, cache: Option<&KvCache>)
    -> Result<(Tensor, Context), ModelError>;

    /// Block `number`, from 0: (batch, time, width) to the same shape. `context` and the presence of
    /// a cache are those of [`embed`](CausalLm::embed). With a cache, keys and values are written
    /// to it and those of earlier tokens read from it.
    ///
    /// # Errors
    /// What LibTorch reports.
    fn block(
        &self,
        number: usize,
        stream: &Tensor,
        context: &Context,
        cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError>;

    /// The norm after the last block.
    ///
    /// # Errors
    /// What LibTorch reports.
    fn norm(&self, stream: &Tensor) -> Result<Tensor, ModelError>;

    /// Hidden states after the final norm: ids (batch, time) of `Kind::Int64` to (batch, time, width).
    ///
    /// With gradients enabled and frozen weights, the embedding output starts the graph, so that
    /// gradients with respect to any tapped output can be taken.
    ///
    /// # Errors
    /// An id outside the vocabulary, an input longer than the model's positions, or what LibTorch
    /// reports.
    fn hidden(&self, ids: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
        let (mut stream, context) = self.embed(ids, None)?;
        for number in 0..self.blocks() {
            stream = self.block(number, &stream, &context, None, tap)?;
        }
        self.norm(&stream)
    }

    /// Hidden states of `ids` (batch, time) that follow the tokens in `cache`, which then holds
    /// these too. No gradients are taken.
    ///
    /// The first call reads the right-padded prompts that the cache was made for; later ones take
    /// the next tokens of every row, without padding. Behind a beginning that is shared
    /// ([`KvCache::shared`]), every call takes other right-padded texts, and the cache stays as it is.
    ///
    /// # Errors
    /// Ids of another shape than the cache has room for, and those of [`hidden`](CausalLm::hidden).
    fn extend(
        &self,
        ids: &Tensor,
        cache: &mut KvCache,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError> {
        no_grad(|| {
            let (mut stream, context) = self.embed(ids, Some(cache))?;
            for number in 0..self.blocks() {
                stream = self.block(number, &stream, &context, Some(cache), tap)?;
            }
            cache.advance(ids.size().get(1).map_or(0, |&time| time as usize))?;
            self.norm(&stream)
        })
    }

    /// Logits of hidden states: (…, width) to (…, vocabulary), in the kind of the weights.
    ///
    /// Ask only for positions that are needed: the projection on the vocabulary is often the largest
    /// of the model. [`Batch::predicting`](crate::Batch::predicting) picks those that predict a target.
    ///
    /// # Errors
    /// What LibTorch reports.
    fn logits(&self, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError>;
}
