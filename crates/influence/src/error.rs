//! The one error of this crate.

use tamis_gradients::GradientError;
use tamis_kfac::KfacError;

/// Why influence could not be computed or selected by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InfluenceError {
    /// LibTorch refused an operation.
    #[error("LibTorch: {0}")]
    Torch(#[from] tch::TchError),
    /// Gradients could not be taken, read or written.
    #[error(transparent)]
    Gradients(#[from] GradientError),
    /// Curvature could not be applied.
    #[error(transparent)]
    Curvature(#[from] KfacError),
    /// No seed to score against.
    #[error("there is no seed to score against")]
    NoSeeds,
    /// A seed whose gradient is not finite.
    #[error("seed {id}: its gradient is not finite; remove it or look for a diverged model")]
    NonFiniteSeed {
        /// Id of the seed.
        id: String,
    },
    /// Scores, seeds or rows of different shapes.
    #[error("{what}: found {found}, expected {expected}")]
    Mismatch {
        /// What was compared.
        what: &'static str,
        /// Its value here.
        found: String,
        /// The value it must have.
        expected: String,
    },
    /// A rule that asks for more than there is.
    #[error("{wanted} candidates are wanted, but only {available} of the pool can be scored")]
    TooFew {
        /// How many were asked for.
        wanted: usize,
        /// How many there are.
        available: usize,
    },
    /// A rule that lets through fewer candidates than are to be chosen.
    #[error(
        "only {passing} of the {candidates} scored candidates pass the rule {rule}, but {wanted} \
         are to be chosen; lower the budget or use a rule that relaxes (auto)"
    )]
    RuleTooStrict {
        /// The rule.
        rule: String,
        /// How many candidates pass it.
        passing: usize,
        /// How many candidates there are.
        candidates: usize,
        /// How many are to be chosen.
        wanted: usize,
    },
    /// A rule written in a way that is not understood.
    #[error(
        "rule {text:?} is not one of auto, all, share:F (0 to 1), mean, normalised, top:K (K at least 1), top:K:mean"
    )]
    Rule {
        /// The text.
        text: String,
    },
}
