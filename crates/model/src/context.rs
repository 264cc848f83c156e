//! What all blocks of one forward pass share.

use tch::Tensor;

use crate::{Attention, KvCache, ModelError, input::Places, rope::Rotation};

/// What all blocks of one forward pass share: rotary angles and what each position may see.
#[derive(Debug)]
pub struct Context {
    rotation: Option<Rotation>,
    /// Whether a position sees itself and those before it of the same pass, and nothing else.
    pub(crate) triangle: bool,
    /// Where that is not so: true for what is seen, (rows, 1, time, columns). None of both means
    /// everything is seen.
    pub(crate) mask: Option<Tensor>,
    /// The kernel of this pass, where it is not the one that the model was loaded with.
    pub(crate) kernel: Option<Attention>,
}

impl Context {
    pub(crate) fn new(
        places: &Places,
        cache: Option<&KvCache>,
        rotation: Option<Rotation>,
    ) -> Result<Self, ModelError> {
        let earlier = cache.filter(|cache| !cache.is_empty());
        let mask = earlier.map_or(Ok(None), |cache| cache.mask(places.time()))?;
        Ok(Self { rotation, triangle: earlier.is_none(), mask, kernel: None })
    }

    /// Lets the attention of this pass run by `kernel`, whichever the model was loaded with. Second
    /// derivatives exist for [`Attention::Math`] only.
    #[must_use]
    pub fn with_attention(self, kernel: Attention) -> Self {
        Self { kernel: Some(kernel), ..self }
    }

    /// Rotates queries or keys (batch, time, heads, `head_dim`).
    pub(crate) fn rotate(&self, x: &Tensor) -> Result<Tensor, ModelError> {
        self.rotation.as_ref().map_or_else(|| Ok(x.shallow_clone()), |r| r.apply(x))
    }
}
