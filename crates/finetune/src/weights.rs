//! Weights while they are being trained.

use tamis_model::row_major;
use tch::{COptimizer, Kind, Tensor, no_grad};

use crate::FinetuneError;

/// Weights, unfrozen as long as this value lives.
///
/// Backward passes add up in LibTorch's own gradient slots, so that several micro-batches need
/// room for one gradient only. Dropping it freezes the weights again and frees the slots.
///
/// Weights in bf16 are copies of f32 masters: the masters are what the optimizer changes, and the
/// gradients of micro-batches add up in f32.
pub(crate) struct Unfrozen {
    names: Vec<String>,
    tensors: Vec<Tensor>,
    masters: Option<Masters>,
    /// Never steps: the one door in `tch` through which a gradient slot can be emptied rather than
    /// filled with zeros.
    slots: COptimizer,
}

/// The f32 side of weights in bf16.
struct Masters {
    weights: Vec<Tensor>,
    /// Gradients of the micro-batches so far; none before the first.
    sums: Vec<Option<Tensor>>,
}

impl Unfrozen {
    /// Unfreezes the given weights, all of one kind.
    pub(crate) fn new<'a>(
        named: impl IntoIterator<Item = (String, &'a Tensor)>,
    ) -> Result<Self, FinetuneError> {
        let slots = COptimizer::sgd(0.0, 0.0, 0.0, 0.0, false)?;
        let mut new = Self { names: Vec::new(), tensors: Vec::new(), masters: None, slots };
        for (name, tensor) in named {
            let kind = tensor.f_kind()?;
            if !matches!(kind, Kind::Float | Kind::Double | Kind::BFloat16) {
                return Err(FinetuneError::Kind { name, kind });
            }
            let tensor = tensor.f_set_requires_grad(true)?;
            new.slots.add_parameters(&tensor, 0)?;
            new.names.push(name);
            new.tensors.push(tensor);
        }
        let half = |tensor: &Tensor| tensor.f_kind().is_ok_and(|kind| kind == Kind::BFloat16);
        if new.tensors.iter().any(half) {
            let copy = |tensor: &Tensor| row_major(&tensor.f_detach()?.f_to_kind(Kind::Float)?);
            let weights = new.tensors.iter().map(copy).collect::<Result<Vec<_>, _>>()?;
            let sums = weights.iter().map(|_| None).collect();
            new.masters = Some(Masters { weights, sums });
        }
        new.clear()?;
        Ok(new)
    }

    /// Names of the weights and what the optimizer changes: the weights, or their masters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let tensors = self.masters.as_ref().map_or(&self.tensors, |masters| &masters.weights);
        self.names.iter().map(String::as_str).zip(tensors)
    }

    /// What the optimizer changes, in place.
    pub(crate) fn changed(&mut self) -> &mut [Tensor] {
        self.masters.as_mut().map_or(&mut self.tensors, |masters| &mut masters.weights)
    }

    /// Names and masters, where there are masters.
    pub(crate) fn masters(&self) -> Option<impl Iterator<Item = (&str, &Tensor)>> {
        let masters = self.masters.as_ref()?;
        Some(self.names.iter().map(String::as_str).zip(&masters.weights))
    }

    /// To be called after each backward pass.
    pub(crate) fn pass_done(&mut self) -> Result<(), FinetuneError> {
        let Some(masters) = &mut self.masters else { return Ok(()) };
        for (tensor, sum) in self.tensors.iter().zip(&mut masters.sums) {
            let gradient = tensor.f_grad()?;
            if gradient.defined() {
                let gradient = gradient.f_to_kind(Kind::Float)?;
                *sum = Some(match sum.take() {
                    Some(mut sum) => no_grad(|| sum.f_add_(&gradient))?,
                    None => gradient,
                });
            }
        }
        Ok(self.slots.zero_grad()?)
    }

    /// To be called after each change of what [`changed`](Unfrozen::changed) gives.
    pub(crate) fn publish(&mut self) -> Result<(), FinetuneError> {
        let Some(masters) = &self.masters else { return Ok(()) };
        no_grad(|| {
            for (tensor, master) in self.tensors.iter().zip(&masters.weights) {
                tensor.f_detach()?.f_copy_(master)?;
            }
            Ok(())
        })
    }

    /// Sets the masters to the weights, which were changed from outside.
    pub(crate) fn refresh(&mut self) -> Result<(), FinetuneError> {
        let Some(masters) = &mut self.masters else { return Ok(()) };
        no_grad(|| {
            for (tensor, master) in self.tensors.iter().zip(&mut masters.weights) {
                master.f_copy_(&tensor.f_detach()?)?;
            }
            Ok(())
        })
    }

    /// The gradients summed since the last [`clear`](Unfrozen::clear), to be had once.
    pub(crate) fn gradients(&mut self) -> Result<Vec<Tensor>, FinetuneError> {
        let names = self.names.iter();
        let missing = |name: &String| FinetuneError::NoGradient { name: name.clone() };
        if let Some(masters) = &mut self.masters {
            let sums = names.zip(&mut masters.sums);
            return sums.map(|(name, sum)| sum.take().ok_or_else(|| missing(name))).collect();
        }
        names
            .zip(&self.tensors)
            .map(|(name, tensor)| {
                let gradient = tensor.f_grad()?;
                if gradient.defined() { Ok(gradient) } else { Err(missing(name)) }
            })
            .collect()
    }

    /// Frees all gradients.
    pub(crate) fn clear(&mut self) -> Result<(), FinetuneError> {
        if let Some(masters) = &mut self.masters {
            masters.sums.fill_with(|| None);
        }
        Ok(self.slots.zero_grad()?)
    }

    /// A copy of the weights on the host.
    pub(crate) fn snapshot(&self) -> Result<Vec<Tensor>, FinetuneError> {
        let copy =
            |tensor: &Tensor| tensor.f_detach()?.f_to_device(tch::Device::Cpu)?.f_detach_copy();
        Ok(self.tensors.iter().map(copy).collect::<Result<_, _>>()?)
    }

    /// Overwrites the weights with a [`snapshot`](Unfrozen::snapshot).
    pub(crate) fn restore(&mut self, snapshot: &[Tensor]) -> Result<(), FinetuneError> {
        no_grad(|| {
            for (tensor, source) in self.tensors.iter().zip(snapshot) {
                tensor.f_detach()?.f_copy_(source)?;
            }
            Ok(())
        })
    }
}

impl Drop for Unfrozen {
    fn drop(&mut self) {
        if let Err(error) = self.slots.zero_grad() {
            tracing::warn!(%error, "the gradients of the last step could not be freed");
        }
        for (name, tensor) in self.names.iter().zip(&self.tensors) {
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
