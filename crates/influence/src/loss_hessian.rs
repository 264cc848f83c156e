//! Products of the Hessian of the loss with vectors, by differentiating twice.

use std::fmt;

use tamis_dataset::{Encoded, Encodings};
use tamis_model::{Batch, CausalLm, LayerId, LayerInfo, Tap};
use tch::{TchError, Tensor};

use crate::batches::Batches;
use crate::hessian::{check, zeros};
use crate::linearised::{hidden, moved};
use crate::{GaussNewtonParams, Hessian, InfluenceError};

/// The Hessian of the loss itself in the weights of the chosen layers: `H = (1/N) Σ_samples ∇²L`,
/// with the samples' own labels and the *sum* of the loss over a sample's targets.
///
/// [`GaussNewton`](crate::GaussNewton) leaves out how the logits bend, which is zero in the mean where
/// the model fits its data, and never negative. This matrix has it, so away from an optimum it may
/// have negative eigenvalues, and conjugate gradients break down, which they report. It is needed
/// where the block *between* two groups of layers counts (a shared layer, say, and the head that was
/// trained on top of it), because that block lives from the bend.
///
/// A product takes about a forward and three backward passes of every batch. Attention runs by its
/// textbook formula, as fused kernels have no second derivative.
pub struct LossHessian<'a> {
    model: &'a dyn CausalLm,
    layers: &'a [LayerInfo],
    data: Batches,
}

impl fmt::Debug for LossHessian<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LossHessian")
            .field("layers", &self.layers.len())
            .field("batches", &self.data.batches.len())
            .finish_non_exhaustive()
    }
}

/// Adds a change of the weights, differentiably: `y + x̃ Vᵀ`.
struct Moving<'a> {
    layers: &'a [LayerInfo],
    by: &'a [Tensor],
}

impl Tap for Moving<'_> {
    fn linear(&mut self, layer: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        match self.layers.iter().zip(self.by).find(|(own, _)| own.id == layer) {
            Some((own, by)) => y.f_add(&moved(own, x, by)?),
            None => Ok(y),
        }
    }
}

impl<'a> LossHessian<'a> {
    /// The matrix over those of `samples` that can be used.
    ///
    /// # Errors
    /// A model in half precision, no sample that can be used, or what reading reports.
    pub fn new(
        model: &'a dyn CausalLm,
        layers: &'a [LayerInfo],
        samples: &Encodings<'_>,
        params: GaussNewtonParams,
    ) -> Result<Self, InfluenceError> {
        let data = Batches::read(model, samples, params, "products with the Hessian of the loss")?;
        Ok(Self { model, layers, data })
    }

    /// The gradient of the batch's loss in a change of the weights, with a graph, and that change.
    fn gradient(&self, samples: &[Encoded]) -> Result<(Vec<Tensor>, Vec<Tensor>), InfluenceError> {
        let shape = self.model.shape();
        let samples: Vec<&Encoded> = samples.iter().collect();
        let batch = Batch::new(&samples, shape.device)?;
        let mut by = Vec::with_capacity(self.layers.len());
        for layer in self.layers {
            by.push(zeros(layer, shape.kind, shape.device)?.f_set_requires_grad(true)?);
        }
        let mut tap = Moving { layers: self.layers, by: &by };
        let hidden = hidden(self.model, &batch.ids, &mut tap)?;
        let logits = self.model.logits(&batch.predicting(&hidden)?, &mut tap)?;
        let log_probs = logits.f_log_softmax(-1, None)?;
        let own = log_probs.f_gather(1, &batch.targets.f_unsqueeze(1)?, false)?;
        let loss = own.f_sum(None)?.f_neg()?;
        let gradient = Tensor::f_run_backward(&[loss], &by, true, true)?;
        Ok((gradient, by))
    }
}

impl Hessian for LossHessian<'_> {
    fn layers(&self) -> &[LayerInfo] {
        self.layers
    }

    fn product(&self, vectors: &[Vec<Tensor>]) -> Result<Vec<Vec<Tensor>>, InfluenceError> {
        let shape = self.model.shape();
        let mut products = Vec::with_capacity(vectors.len());
        for vector in vectors {
            check(self.layers, vector)?;
            let zeros = self.layers.iter().map(|l| zeros(l, shape.kind, shape.device));
            products.push(zeros.collect::<Result<Vec<_>, _>>()?);
        }
        for batch in &self.data.batches {
            tch::with_grad(|| -> Result<(), InfluenceError> {
                let (gradient, by) = self.gradient(batch)?;
                for (vector, product) in vectors.iter().zip(&mut products) {
                    let mut along = Tensor::f_zeros([], (shape.kind, shape.device))?;
                    for (g, v) in gradient.iter().zip(vector) {
                        along = along.f_add(&g.f_mul(v)?.f_sum(None)?)?;
                    }
                    let parts = Tensor::f_run_backward(&[along], &by, true, false)?;
                    for (sum, part) in product.iter_mut().zip(parts) {
                        let _ = sum.f_add_(&part.detach())?;
                    }
                }
                Ok(())
            })?;
        }
        for tensor in products.iter_mut().flatten() {
            let _ = tensor.f_div_scalar_(self.data.count)?;
        }
        Ok(products)
    }
}
