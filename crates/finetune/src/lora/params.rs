//! The settings of an adapter, and their check.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_model::LayerPattern;

/// What a [`Lora`](crate::Lora) is made of.
///
/// A chosen linear layer `y = x Wᵀ` becomes `y = x Wᵀ + s · dropout(x) Aᵀ Bᵀ` with `A` of shape
/// (rank, in), `B` of shape (out, rank) and `s = alpha / rank` (Hu et al., "LoRA", arXiv
/// 2106.09685), or `alpha / √rank` ("rank-stabilised", Kalajdzievski, arXiv 2312.03732).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraParams {
    /// Rows of `A` and columns of `B`. Default 8.
    pub rank: usize,
    /// Numerator of the scale `s`. Default 16.
    pub alpha: f64,
    /// Which layers. Default all but the head.
    pub target: LayerPattern,
    /// Share of the adapter's inputs that are set to zero while training, the others growing by
    /// 1 / (1 − dropout). Default 0.
    pub dropout: f64,
    /// Whether `s` is `alpha / √rank`. Default no.
    pub rslora: bool,
    /// Decides the first values of `A`. Default 0.
    pub seed: u64,
}

impl Default for LoraParams {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            target: LayerPattern::default(),
            dropout: 0.0,
            rslora: false,
            seed: 0,
        }
    }
}

impl LoraParams {
    /// The scale `s`.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.rslora { rank.sqrt() } else { rank }
    }

    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        ParameterError::at_least("lora.rank", self.rank, 1)?;
        ParameterError::finite_above("lora.alpha", self.alpha, 0.0)?;
        let possible = (0.0..1.0).contains(&self.dropout);
        ParameterError::require(possible, "lora.dropout", self.dropout, "0 to below 1")
    }
}
