//! Making the adapter part of the weights.

use tamis_model::CausalLm;
use tch::no_grad;

use super::Lora;
use crate::FinetuneError;

impl Lora {
    /// Adds the adapter to the weights of `model`: `W ← W + s · B A`, computed in the adapter's
    /// kind. Afterwards the model gives without a tap what it gave with it, to rounding.
    ///
    /// # Errors
    /// A model that lacks a layer of the adapter or has it in another shape (nothing is changed
    /// then), or what LibTorch reports.
    pub fn merge(&self, model: &mut dyn CausalLm) -> Result<(), FinetuneError> {
        let mut weights = Vec::with_capacity(self.adapters.len());
        for adapter in &self.adapters {
            let shape = [adapter.b.size()[0], adapter.a.size()[1]];
            let weight = model.parameters().get(&format!("{}.weight", adapter.name));
            match weight {
                Some(weight) if weight.size() == shape => weights.push(weight.shallow_clone()),
                found => {
                    return Err(FinetuneError::OtherModel {
                        layer: adapter.name.clone(),
                        expected: shape,
                        found: found.map_or("which the model lacks".to_owned(), |weight| {
                            format!("but the model's is {:?}", weight.size())
                        }),
                    });
                }
            }
        }
        no_grad(|| {
            for (adapter, weight) in self.adapters.iter().zip(&mut weights) {
                let change = adapter.b.f_matmul(&adapter.a)?.f_mul_scalar(self.params.scale())?;
                let sum = weight.f_to_kind(change.f_kind()?)?.f_add(&change)?;
                weight.f_copy_(&sum)?;
            }
            Ok(())
        })
    }
}
