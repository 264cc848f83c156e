//! Ways to take `Σ_t g_tᵀ P_q x̃_t` for every sample and seed, equal but for rounding, and which is
//! cheapest.

use tamis_gradients::LayerTrace;
use tch::{Kind, Tensor};

use crate::InfluenceError;

/// How candidates' gradients meet those of the seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contraction {
    /// Whichever takes fewer multiplications, layer by layer and batch by batch.
    #[default]
    Cheapest,
    /// The gradient `G` of every sample is formed, and one product meets all seeds: `(time + seeds) ·
    /// out · in` multiplications a sample, `seeds · out · in` if something has formed it already.
    Formed,
    /// Token by token, `G` is never formed: `seeds · time · out · in` multiplications a sample, so for a
    /// single seed or single tokens.
    Tokens,
}

impl Contraction {
    /// Whether gradients of `time` tokens are to be formed for `seeds` seeds.
    pub(crate) fn forms(self, trace: &LayerTrace, seeds: usize) -> bool {
        let (time, seeds) = (trace.extent().1, seeds as i64);
        match self {
            Self::Formed => true,
            Self::Tokens => false,
            Self::Cheapest => {
                let forming = if trace.is_formed() { 0 } else { time };
                forming + seeds <= seeds * time
            }
        }
    }
}

/// What products over many tokens are added up in.
pub(crate) fn wide(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

/// Scores of one layer, (batch, seeds), for solved seed gradients (seeds, out, in (+1)).
pub(crate) fn scores(
    trace: &LayerTrace,
    solved: &Tensor,
    how: Contraction,
) -> Result<Tensor, InfluenceError> {
    let seeds = solved.size()[0];
    if how.forms(trace, seeds as usize) {
        let formed = trace.formed()?.f_flatten(1, -1)?.f_to_kind(solved.kind())?;
        return Ok(formed.f_matmul(&solved.f_flatten(1, -1)?.f_transpose(0, 1)?)?);
    }
    let kind = solved.kind();
    Ok(by_token(trace, solved)?.f_sum_dim_intlist([1i64].as_slice(), false, kind)?)
}

/// Scores of one layer by token, (batch, time, seeds): `g_tᵀ P_q x̃_t`.
pub(crate) fn by_token(trace: &LayerTrace, solved: &Tensor) -> Result<Tensor, InfluenceError> {
    let kind = solved.kind();
    let (x, g) = (trace.x().f_to_kind(kind)?, trace.g().f_to_kind(kind)?);
    let (features, out) = (trace.info().in_features, trace.info().out_features);
    let mut all = Vec::new();
    for seed in 0..solved.size()[0] {
        let own = solved.f_get(seed)?;
        let weights = own.f_narrow(1, 0, features)?;
        // The narrower side is what is written and read again.
        let product = if features <= out {
            g.f_matmul(&weights)?.f_mul(&x)?
        } else {
            x.f_matmul(&weights.f_transpose(0, 1)?)?.f_mul(&g)?
        };
        let mut sum = product.f_sum_dim_intlist([-1i64].as_slice(), false, kind)?;
        if trace.info().bias {
            sum = sum.f_add(&g.f_matmul(&own.f_select(1, features)?)?)?;
        }
        all.push(sum);
    }
    Ok(Tensor::f_stack(&all, -1)?)
}
