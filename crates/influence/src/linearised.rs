//! The logits of one batch as a linear function of the chosen layers' weights.
//!
//! A change `V_l` of the weights of layer `l` moves its output by `x̃_l V_lᵀ`, so that
//! `J V = Σ_l ∂logits/∂y_l · x̃_l V_lᵀ` and `Jᵀ w` has the layers `Σ_t g_t x̃_tᵀ` with
//! `g = ∂⟨logits, w⟩/∂y_l`. Autograd gives the second by one backward pass, and the first by
//! differentiating the second: `g(u)` is linear in `u`, and its graph is made once for all vectors.

use tamis_dataset::Encoded;
use tamis_gradients::{Capture, GradientError};
use tamis_model::{Attention, Batch, CausalLm, LayerInfo, ModelError, NoTap, Tap};
use tch::Tensor;

use crate::InfluenceError;

/// The Jacobian `J` of one batch's logits, (targets, vocabulary), at the model's weights.
#[derive(Debug)]
pub(crate) struct Linearised<'a> {
    layers: &'a [LayerInfo],
    logits: Tensor,
    probabilities: Tensor,
    /// Inputs and outputs of the layers.
    x: Vec<Tensor>,
    y: Vec<Tensor>,
    /// Of the shape of the logits: what `pulled` depends on.
    u: Tensor,
    /// `∂⟨logits, u⟩/∂y_l`, with a graph.
    pulled: Vec<Tensor>,
}

impl<'a> Linearised<'a> {
    /// Runs the model forward, and backward with a graph of its own.
    pub(crate) fn new(
        model: &dyn CausalLm,
        layers: &'a [LayerInfo],
        samples: &[&Encoded],
    ) -> Result<Self, InfluenceError> {
        let batch = Batch::new(samples, model.shape().device)?;
        tch::with_grad(|| {
            let mut capture = Capture::new(layers);
            let hidden = hidden(model, &batch.ids, &mut capture)?;
            let predicting = batch.predicting(&hidden)?;
            let head = layers.iter().any(|layer| layer.head);
            let tap: &mut dyn Tap = if head { &mut capture } else { &mut NoTap };
            let logits = model.logits(&predicting, tap)?;
            let probabilities = tch::no_grad(|| probabilities(&logits, &batch, samples))?;
            let (mut x, mut y) = (Vec::new(), Vec::new());
            for (layer, kept) in layers.iter().zip(capture.into_kept()) {
                let name = || GradientError::LayerNotReached { name: layer.name.clone() };
                let (input, output) = kept.ok_or_else(name)?;
                x.push(input);
                y.push(output);
            }
            let u = logits.detach().f_zeros_like()?.f_set_requires_grad(true)?;
            let product = logits.f_mul(&u)?.f_sum(logits.kind())?;
            let pulled = Tensor::f_run_backward(&[product], &y, true, true)?;
            Ok(Self { layers, logits, probabilities, x, y, u, pulled })
        })
    }

    /// `J V`, (targets, vocabulary), of a vector with one (out, in (+1)) a layer.
    pub(crate) fn push(&self, vector: &[Tensor]) -> Result<Tensor, InfluenceError> {
        tch::with_grad(|| {
            let mut sum = Tensor::f_zeros([], (self.logits.kind(), self.logits.device()))?;
            for (((layer, x), pulled), v) in
                self.layers.iter().zip(&self.x).zip(&self.pulled).zip(vector)
            {
                let moved = tch::no_grad(|| moved(layer, x, v))?;
                sum = sum.f_add(&pulled.f_mul(&moved)?.f_sum(moved.kind())?)?;
            }
            let mut found = Tensor::f_run_backward(&[sum], &[&self.u], true, false)?;
            Ok(found.swap_remove(0).detach())
        })
    }

    /// `B w` with `B = diag(p) − p pᵀ` for each target, the Hessian of its loss in the logits.
    pub(crate) fn curve(&self, w: &Tensor) -> Result<Tensor, InfluenceError> {
        let weighted = self.probabilities.f_mul(w)?;
        let sums = weighted.f_sum_dim_intlist([1i64].as_slice(), true, weighted.kind())?;
        Ok(weighted.f_sub(&self.probabilities.f_mul(&sums)?)?)
    }

    /// Adds `Jᵀ w` to `into`.
    pub(crate) fn pull(&self, w: &Tensor, into: &mut [Tensor]) -> Result<(), InfluenceError> {
        let gradients = tch::with_grad(|| {
            let product = self.logits.f_mul(w)?.f_sum(w.kind())?;
            Tensor::f_run_backward(&[product], &self.y, true, false)
        })?;
        for (((layer, x), g), sum) in self.layers.iter().zip(&self.x).zip(&gradients).zip(into) {
            let (inputs, outputs) = (layer.in_features, layer.out_features);
            let (x, g) = (x.f_reshape([-1, inputs])?, g.detach().f_reshape([-1, outputs])?);
            let _ = sum.f_narrow(1, 0, inputs)?.f_addmm_(&g.f_transpose(0, 1)?, &x)?;
            if layer.bias {
                let of_ones = g.f_sum_dim_intlist([0i64].as_slice(), false, g.kind())?;
                let _ = sum.f_select(1, inputs)?.f_add_(&of_ones)?;
            }
        }
        Ok(())
    }
}

/// Hidden states with an attention that can be differentiated twice: fused kernels cannot.
pub(crate) fn hidden(
    model: &dyn CausalLm,
    ids: &Tensor,
    tap: &mut dyn Tap,
) -> Result<Tensor, ModelError> {
    let (mut stream, context) = model.embed(ids, None)?;
    let context = context.with_attention(Attention::Math);
    for number in 0..model.blocks() {
        stream = model.block(number, &stream, &context, None, tap)?;
    }
    model.norm(&stream)
}

/// `x̃ Vᵀ`, in the shape of the layer's output.
pub(crate) fn moved(layer: &LayerInfo, x: &Tensor, v: &Tensor) -> Result<Tensor, tch::TchError> {
    if layer.bias {
        let weight = v.f_narrow(1, 0, layer.in_features)?;
        x.f_linear(&weight, Some(v.f_select(1, layer.in_features)?))
    } else {
        x.f_linear(v, None::<Tensor>)
    }
}

/// The softmax of the logits; refuses logits that are not finite, naming their sample.
fn probabilities(
    logits: &Tensor,
    batch: &Batch,
    samples: &[&Encoded],
) -> Result<Tensor, InfluenceError> {
    let logits = logits.detach();
    let total = logits.f_logsumexp([1], true)?;
    let finite = Vec::<bool>::try_from(total.f_isfinite()?.f_squeeze_dim(1)?)?;
    if let Some(target) = finite.iter().position(|ok| !ok) {
        let row = batch.rows.f_int64_value(&[target as i64])?;
        return Err(InfluenceError::NonFiniteSample { id: samples[row as usize].id.to_string() });
    }
    Ok(logits.f_sub(&total)?.f_exp()?)
}
