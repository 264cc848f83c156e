//! Causal self-attention over right-padded batches, where no mask but the triangle is needed.

use tch::{Device, Kind, Tensor};

use crate::{Attention, ModelError};

/// Attention of every position to itself and those before it.
///
/// `q` is (batch, time, heads, `head_dim`); `k` and `v` may have fewer heads, each of which serves
/// a group of neighbouring query heads. Returns (batch, time, heads · `head_dim`).
pub(crate) fn causal(
    kernel: Attention,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
) -> Result<Tensor, ModelError> {
    let (batch, time, heads, width) = q.size4()?;
    let grouped = k.size()[2] != heads;
    let [q, k, v] = [q.f_transpose(1, 2)?, k.f_transpose(1, 2)?, v.f_transpose(1, 2)?];
    let mixed = match kernel {
        // Grouped heads stay on the fused CPU kernel, without copies of keys and values.
        Attention::Fused => Tensor::f_scaled_dot_product_attention(
            &q,
            &k,
            &v,
            None::<Tensor>,
            0.0,
            true,
            None,
            grouped,
        )?,
        Attention::Math => textbook(&q, &k, &v)?,
    };
    Ok(mixed.f_transpose(1, 2)?.f_reshape([batch, time, heads * width])?)
}

/// `softmax(q kᵀ / √d + triangle) v` on (batch, heads, time, `head_dim`).
fn textbook(q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, ModelError> {
    let (_, heads, time, width) = q.size4()?;
    let group = heads / k.size()[1];
    let k = k.f_repeat_interleave_self_int(group, 1, None)?;
    let v = v.f_repeat_interleave_self_int(group, 1, None)?;
    let kind = q.f_kind()?;
    let accumulate = if kind == Kind::Double { kind } else { Kind::Float };
    let scores = q.f_matmul(&k.f_transpose(2, 3)?)?.f_mul_scalar((width as f64).powf(-0.5))?;
    let future = future(time, q.device())?;
    let weights = scores
        .f_masked_fill(&future, f64::NEG_INFINITY)?
        .f_softmax(-1, accumulate)?
        .f_to_kind(kind)?;
    Ok(weights.f_matmul(&v)?)
}

/// True above the diagonal: what a row must not see.
fn future(time: i64, device: Device) -> Result<Tensor, ModelError> {
    Ok(Tensor::f_ones([time, time], (Kind::Bool, device))?.f_triu(1)?)
}
