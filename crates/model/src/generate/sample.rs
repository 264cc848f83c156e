//! Random choice of the next token.

use tamis_artifact::Random;
use tch::{Kind, Tensor};

use crate::ModelError;

/// Draws the tokens of one text from its own stream of random numbers.
pub(super) struct Sampler {
    temperature: f64,
    top_p: f64,
    top_k: usize,
    numbers: Random,
}

impl Sampler {
    pub(super) fn new(temperature: f64, top_p: f64, top_k: usize, seed: u64, stream: u64) -> Self {
        let numbers = Random::keyed(seed, "tokens of a text", &stream.to_string());
        Self { temperature, top_p, top_k, numbers }
    }

    /// One token for every row of `logits` (rows, vocabulary): (rows,), `Kind::Int64`.
    ///
    /// By inversion: tokens in the order of their probability, the first at which the cumulative
    /// probability passes a uniform number. The settings are those of the first sampler.
    pub(super) fn draw(samplers: &mut [&mut Self], logits: &Tensor) -> Result<Tensor, ModelError> {
        let uniform: Vec<f64> = samplers.iter_mut().map(|s| s.numbers.fraction()).collect();
        let Some(Self { temperature, top_p, top_k, .. }) = samplers.first() else {
            return Err(ModelError::EmptyBatch);
        };
        let vocabulary = logits.size()[1];
        // In f64, so that the sum over a large vocabulary ends at 1.
        let logits = logits.f_to_kind(Kind::Double)?.f_div_scalar(*temperature)?;
        let kept = if *top_k == 0 { vocabulary } else { vocabulary.min(*top_k as i64) };
        let (logits, order) = logits.f_topk(kept, -1, true, true)?;
        let probabilities = logits.f_softmax(-1, Kind::Double)?;
        let sums = probabilities.f_cumsum(-1, Kind::Double)?;
        // A token counts while those before it do not reach top_p; the first always does.
        let before = sums.f_sub(&probabilities)?;
        let probabilities = probabilities
            .f_masked_fill(&before.f_ge(*top_p)?.f_logical_and(&before.f_gt(0.0)?)?, 0.0)?;
        let sums = probabilities.f_cumsum(-1, Kind::Double)?;
        let total = sums.f_narrow(1, kept - 1, 1)?;
        let uniform = Tensor::f_from_slice(&uniform)?.f_to_device(logits.device())?;
        let aim = uniform.f_unsqueeze(1)?.f_mul(&total)?;
        let place =
            sums.f_le_tensor(&aim)?.f_sum_dim_intlist([-1i64].as_slice(), true, Kind::Int64)?;
        let place = place.f_clamp_max(kept - 1)?;
        Ok(order.f_gather(1, &place, false)?.f_squeeze_dim(1)?)
    }
}
