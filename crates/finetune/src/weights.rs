//! A model's weights while they are being trained.

use tamis_model::CausalLm;
use tch::{COptimizer, Kind, Tensor};

use crate::FinetuneError;

/// The weights of a model, unfrozen as long as this value lives.
///
/// Backward passes add up in LibTorch's own gradient slots, so that several micro-batches need
/// room for one gradient only. Dropping it freezes the weights again and frees the slots.
pub(crate) struct Unfrozen {
    names: Vec<String>,
    tensors: Vec<Tensor>,
    /// Never steps: the one door in `tch` through which a gradient slot can be emptied rather than
    /// filled with zeros.
    slots: COptimizer,
}

impl Unfrozen {
    /// Unfreezes every parameter of `model`.
    pub(crate) fn new(model: &mut dyn CausalLm) -> Result<Self, FinetuneError> {
        let slots = COptimizer::sgd(0.0, 0.0, 0.0, 0.0, false)?;
        let mut unfrozen = Self { names: Vec::new(), tensors: Vec::new(), slots };
        for (name, tensor) in model.parameters().iter() {
            let kind = tensor.kind();
            if !matches!(kind, Kind::Float | Kind::Double) {
                return Err(FinetuneError::Kind { name: name.to_owned(), kind });
            }
            let tensor = tensor.f_set_requires_grad(true)?;
            unfrozen.slots.add_parameters(&tensor, 0)?;
            unfrozen.names.push(name.to_owned());
            unfrozen.tensors.push(tensor);
        }
        unfrozen.clear()?;
        Ok(unfrozen)
    }

    /// Names and tensors, in the order of the model's parameters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.tensors)
    }

    /// The weights, to be changed in place.
    pub(crate) fn tensors(&mut self) -> &mut [Tensor] {
        &mut self.tensors
    }

    /// The gradients summed since the last [`clear`](Unfrozen::clear).
    pub(crate) fn gradients(&self) -> Result<Vec<Tensor>, FinetuneError> {
        self.iter()
            .map(|(name, tensor)| {
                let gradient = tensor.f_grad()?;
                if gradient.defined() {
                    Ok(gradient)
                } else {
                    Err(FinetuneError::NoGradient { name: name.to_owned() })
                }
            })
            .collect()
    }

    /// Frees all gradients.
    pub(crate) fn clear(&mut self) -> Result<(), FinetuneError> {
        Ok(self.slots.zero_grad()?)
    }
}

impl Drop for Unfrozen {
    fn drop(&mut self) {
        if let Err(error) = self.slots.zero_grad() {
            tracing::warn!(%error, "the gradients of the last step could not be freed");
        }
        for (name, tensor) in self.iter() {
            if let Err(error) = tensor.f_set_requires_grad(false) {
                tracing::warn!(name, %error, "a weight could not be frozen again");
            }
        }
    }
}

/// L2 norm of each gradient and of all together, in f64.
pub(crate) fn norms(gradients: &[Tensor]) -> Result<(Vec<f64>, f64), FinetuneError> {
    let _guard = tch::no_grad_guard();
    // One transfer for all of them: reading a number waits for the device.
    let norms = gradients.iter().map(Tensor::f_norm).collect::<Result<Vec<_>, _>>()?;
    let norms: Vec<f64> = Vec::try_from(&Tensor::f_stack(&norms, 0)?.f_to_kind(Kind::Double)?)?;
    let total = norms.iter().map(|norm| norm * norm).sum::<f64>().sqrt();
    Ok((norms, total))
}
