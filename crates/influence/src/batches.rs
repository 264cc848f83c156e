//! The samples that a matrix is a mean over, in batches.

use tamis_dataset::{Encoded, Encodings, Outcome, plan_batches};
use tamis_gradients::GradientError;
use tamis_kfac::Tokens;
use tamis_model::CausalLm;
use tch::Kind;

use crate::{GaussNewtonParams, InfluenceError};

/// Usable samples, batched by length.
#[derive(Debug)]
pub(crate) struct Batches {
    pub(crate) batches: Vec<Vec<Encoded>>,
    /// What the sum over samples is divided by: real tokens, or samples.
    pub(crate) count: f64,
}

impl Batches {
    /// Reads those of `samples` that can be used. `what` names the matrix, which a model in half
    /// precision is too coarse for.
    pub(crate) fn read(
        model: &dyn CausalLm,
        samples: &Encodings<'_>,
        params: GaussNewtonParams,
        what: &'static str,
    ) -> Result<Self, InfluenceError> {
        let kind = model.shape().kind;
        if !matches!(kind, Kind::Float | Kind::Double) {
            let expected = "f32 or f64";
            return Err(InfluenceError::Precision { what, found: format!("{kind:?}"), expected });
        }
        let read = samples.read_range(0..samples.len()).map_err(GradientError::from)?;
        let mut usable: Vec<Option<Encoded>> = read
            .into_iter()
            .filter_map(|outcome| match outcome {
                Outcome::Scored(sample) => Some(Some(sample)),
                Outcome::Unscorable { .. } => None,
            })
            .collect();
        let lengths: Vec<usize> = usable.iter().flatten().map(|s| s.ids.len()).collect();
        if lengths.is_empty() {
            return Err(InfluenceError::NoSamples { samples: samples.len() });
        }
        let count = match params.tokens {
            Tokens::Expand => lengths.iter().sum::<usize>(),
            Tokens::Reduce => lengths.len(),
        };
        let plan = plan_batches(&lengths, params.token_budget).map_err(GradientError::from)?;
        let batches = plan
            .into_iter()
            .map(|members| members.into_iter().filter_map(|m| usable[m].take()).collect())
            .collect();
        Ok(Self { batches, count: count as f64 })
    }
}
