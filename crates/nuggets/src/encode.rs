//! Samples as tokens.

use tamis_dataset::{Encoded, Encoder, Outcome, Reason, Sample};

/// Tokens of samples, or the reason that one has none.
pub(crate) fn encode(encoder: &Encoder, samples: &[Sample]) -> Vec<Result<Encoded, Reason>> {
    let of = |outcome| match outcome {
        Outcome::Scored(encoded) => Ok(encoded),
        Outcome::Unscorable { reason, .. } => Err(reason),
    };
    encoder.encode_all(samples).into_iter().map(of).collect()
}
