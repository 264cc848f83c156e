//! Causal self-attention, over right-padded batches or over a cache of earlier tokens.

use tch::{Kind, Tensor};

use crate::{Attention, Context, KvCache, ModelError, mask::triangle};

/// Attention of every position to itself and those before it, in block `number`.
///
/// Query, key and value: the first is (batch, time, heads, `head_dim`); the others may have fewer
/// heads, each of which serves a group of neighbouring query heads. Returns
/// (batch, time, heads · `head_dim`).
pub(crate) fn attend(
    kernel: Attention,
    number: usize,
    [q, k, v]: [&Tensor; 3],
    context: &Context,
    cache: Option<&mut KvCache>,
) -> Result<Tensor, ModelError> {
    let (batch, time, heads, width) = q.size4()?;
    let grouped = k.size()[2] != heads;
    let [q, mut k, mut v] = [q.f_transpose(1, 2)?, k.f_transpose(1, 2)?, v.f_transpose(1, 2)?];
    if let Some(cache) = cache {
        (k, v) = cache.write(number, &k, &v)?;
    }
    let mask = context.mask.as_ref();
    let mixed = match context.kernel.unwrap_or(kernel) {
        // Grouped heads stay on the fused CPU kernel, without copies of keys and values.
        Attention::Fused => Tensor::f_scaled_dot_product_attention(
            &q,
            &k,
            &v,
            mask,
            0.0,
            context.triangle,
            None,
            grouped,
        )?,
        Attention::Math => {
            let triangle = context.triangle.then(|| triangle(time, q.device())).transpose()?;
            textbook(&q, &k, &v, mask.or(triangle.as_ref()))?
        }
    };
    Ok(mixed.f_transpose(1, 2)?.f_reshape([batch, time, heads * width])?)
}

/// `softmax(q kᵀ / √d) v` on (batch, heads, time, `head_dim`), where `mask` is true what is seen.
fn textbook(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: Option<&Tensor>,
) -> Result<Tensor, ModelError> {
    let (_, heads, _, width) = q.size4()?;
    let group = heads / k.size()[1];
    let k = k.f_repeat_interleave_self_int(group, 1, None)?;
    let v = v.f_repeat_interleave_self_int(group, 1, None)?;
    let kind = q.f_kind()?;
    let accumulate = if kind == Kind::Double { kind } else { Kind::Float };
    let mut scores = q.f_matmul(&k.f_transpose(2, 3)?)?.f_mul_scalar((width as f64).powf(-0.5))?;
    if let Some(mask) = mask {
        scores = scores.f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?;
    }
    let weights = scores.f_softmax(-1, accumulate)?.f_to_kind(kind)?;
    Ok(weights.f_matmul(&v)?)
}
