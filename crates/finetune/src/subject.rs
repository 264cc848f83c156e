//! What a run trains: all weights of a model, or an adapter.

use std::path::Path;

use tamis_model::{Attention, CausalLm, DType, DeviceSpec, LoadOptions, load};

use crate::weights::Unfrozen;
use crate::{FinetuneError, Lora};

/// What a run trains.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) model: &'a dyn CausalLm,
    /// The adapter; none means all weights of the model.
    pub(crate) lora: Option<&'a Lora>,
}

impl Subject<'_> {
    /// Unfreezes what is trained.
    pub(crate) fn unfreeze(&self) -> Result<Unfrozen, FinetuneError> {
        if let Some(lora) = self.lora {
            return Unfrozen::new(lora.parameters());
        }
        let named = self.model.parameters().iter();
        Unfrozen::new(named.map(|(name, tensor)| (name.to_owned(), tensor)))
    }

    /// Writes what is trained to a folder: a whole model, or an adapter.
    pub(crate) fn save(&self, source: &Path, out: &Path) -> Result<(), FinetuneError> {
        match self.lora {
            Some(lora) => lora.save_pretrained(self.model, source, out),
            None => Ok(self.model.parameters().save_pretrained(source, out)?),
        }
    }

    /// Reads what [`save`](Subject::save) wrote into the weights, in place.
    pub(crate) fn restore(&self, dir: &Path) -> Result<(), FinetuneError> {
        let Some(lora) = self.lora else {
            let options = LoadOptions {
                device: DeviceSpec::Cpu,
                kind: DType::try_from(self.model.shape().kind)?,
                attention: Attention::default(),
            };
            let saved = load(dir, &options)?;
            return Ok(self.model.parameters().copy_from(saved.parameters())?);
        };
        lora.restore(dir)
    }
}

/// The first weight that holds a value that is not finite, if there is one.
pub(crate) fn not_finite(weights: &Unfrozen) -> Result<Option<String>, FinetuneError> {
    for (name, tensor) in weights.iter() {
        let (low, high) = tensor.f_detach()?.f_aminmax(None::<i64>, false)?;
        if !(low.f_double_value(&[])?.is_finite() && high.f_double_value(&[])?.is_finite()) {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}
