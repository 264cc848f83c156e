//! Dense curvature matrices, a row of the Jacobian or a sample's gradient at a time.

use tamis_dataset::Encoded;
use tamis_gradients::{Capture, GradientError, Labels, trace_batch};
use tamis_kfac::Tokens;
use tamis_model::Reduction;
use tamis_model::{Batch, CausalLm, LayerInfo};
use tch::{Kind, Tensor};

use super::Dense;
use super::dense::check;
use crate::InfluenceError;

/// `H = (1/N) Σ_samples Jᵀ (diag(p) − p pᵀ) J`, of which [`GaussNewton`](crate::GaussNewton) takes
/// products.
///
/// For each target the rows of `J` are ordinary gradients, one logit's each: a sample is put into one
/// batch as often as there are words in the vocabulary, and every copy differentiates a logit of its
/// own.
///
/// # Errors
/// A model that is not in f64, too many parameters, or what the model or LibTorch reports.
pub fn dense_gauss_newton(
    model: &dyn CausalLm,
    layers: &[LayerInfo],
    samples: &[Encoded],
    tokens: Tokens,
) -> Result<Dense, InfluenceError> {
    let size = check(model, layers)? as i64;
    let mut sum = Tensor::f_zeros([size, size], (Kind::Double, model.shape().device))?;
    for sample in samples {
        tch::with_grad(|| add_sample(model, layers, sample, &mut sum))?;
    }
    let count = count(samples, tokens)?;
    Dense::new(layers, &sum.f_div_scalar(count)?)
}

fn add_sample(
    model: &dyn CausalLm,
    layers: &[LayerInfo],
    sample: &Encoded,
    sum: &mut Tensor,
) -> Result<(), InfluenceError> {
    let words = model.shape().vocab_size;
    let batch = Batch::new(&vec![sample; words], model.shape().device)?;
    let mut capture = Capture::new(layers);
    let hidden = model.hidden(&batch.ids, &mut capture)?;
    let logits = model.logits(&batch.predicting(&hidden)?, &mut capture)?;
    // (copy, target, word).
    let logits = logits.f_view([words as i64, -1, words as i64])?;
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    for (layer, kept) in layers.iter().zip(capture.into_kept()) {
        let name = || GradientError::LayerNotReached { name: layer.name.clone() };
        let (x, y) = kept.ok_or_else(name)?;
        // The head has (copies · targets) rows, every other layer (copies, time).
        let x = x.f_reshape([words as i64, -1, layer.in_features])?;
        let one = Tensor::f_ones([words as i64, x.size()[1], 1], (x.kind(), x.device()))?;
        inputs.push(if layer.bias { Tensor::f_cat(&[&x, &one], 2)? } else { x });
        outputs.push(y);
    }
    for target in 0..logits.size()[1] {
        let own = logits.f_select(1, target)?;
        let picked = own.f_diagonal(0, 0, 1)?.f_sum(Kind::Double)?;
        let gradients = Tensor::f_run_backward(&[picked], &outputs, true, false)?;
        let _no_grad = tch::no_grad_guard();
        let mut rows = Vec::new();
        for ((layer, x), g) in layers.iter().zip(&inputs).zip(&gradients) {
            let g = g.f_reshape([words as i64, -1, layer.out_features])?;
            rows.push(g.f_transpose(1, 2)?.f_bmm(x)?.f_flatten(1, -1)?);
        }
        // Jᵀ(diag(p) − p pᵀ)J = Σ_v p_v (J_v − J̄)(J_v − J̄)ᵀ with J̄ = Σ_v p_v J_v.
        let jacobian = Tensor::f_cat(&rows, 1)?;
        let p = own.f_get(0)?.f_softmax(-1, Kind::Double)?.f_unsqueeze(1)?;
        let mean = p.f_mul(&jacobian)?.f_sum_dim_intlist([0i64].as_slice(), true, Kind::Double)?;
        let centred = jacobian.f_sub(&mean)?.f_mul(&p.f_sqrt()?)?;
        let _ = sum.f_addmm_(&centred.f_transpose(0, 1)?, &centred)?;
    }
    Ok(())
}

/// The empirical Fisher matrix `(1/N) Σ_samples vec(G) vec(G)ᵀ`: of the data's own labels, with `G`
/// the gradient of the sample's loss, summed over its targets.
///
/// # Errors
/// A model that is not in f64, too many parameters, or what the model or LibTorch reports.
pub fn dense_fisher(
    model: &dyn CausalLm,
    layers: &[LayerInfo],
    samples: &[Encoded],
    tokens: Tokens,
) -> Result<Dense, InfluenceError> {
    let size = check(model, layers)? as i64;
    let device = model.shape().device;
    let mut sum = Tensor::f_zeros([size, size], (Kind::Double, device))?;
    for sample in samples {
        let batch = Batch::new(&[sample], device)?;
        let id = [sample.id.as_ref()];
        let trace = trace_batch(model, &batch, &id, layers, Reduction::Sum, Labels::Data)?;
        let parts = trace.layers.iter().map(|layer| Ok(layer.formed()?.f_flatten(1, -1)?));
        let row = Tensor::f_cat(&parts.collect::<Result<Vec<_>, InfluenceError>>()?, 1)?;
        let _ = sum.f_addmm_(&row.f_transpose(0, 1)?, &row)?;
    }
    let count = count(samples, tokens)?;
    Dense::new(layers, &sum.f_div_scalar(count)?)
}

fn count(samples: &[Encoded], tokens: Tokens) -> Result<f64, InfluenceError> {
    if samples.is_empty() {
        return Err(InfluenceError::NoSamples { samples: 0 });
    }
    Ok(match tokens {
        Tokens::Expand => samples.iter().map(|s| s.ids.len()).sum::<usize>() as f64,
        Tokens::Reduce => samples.len() as f64,
    })
}
