//! The one error of this crate.

use tamis_gradients::GradientError;
use tamis_kfac::KfacError;
use tamis_model::ModelError;

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
    /// The model could not be run.
    #[error(transparent)]
    Model(#[from] ModelError),
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
    /// A number format that cannot carry what is asked for.
    #[error("{what} need a model in {expected}, but this one is in {found}; load it so")]
    Precision {
        /// What was asked for.
        what: &'static str,
        /// The model's format.
        found: String,
        /// The formats that will do.
        expected: &'static str,
    },
    /// A layer that two models, or a model and a matrix, do not have alike.
    #[error("layer {layer}: {fault}")]
    Layer {
        /// Name of the layer.
        layer: String,
        /// What is wrong with it.
        fault: String,
    },
    /// A parameter is out of its range.
    #[error(transparent)]
    Parameter(#[from] tamis_artifact::ParameterError),
    /// Nothing to take a curvature over.
    #[error("none of the {samples} samples given can be used for the Gauss–Newton matrix")]
    NoSamples {
        /// How many samples were given.
        samples: usize,
    },
    /// A sample whose logits are not finite.
    #[error("sample {id}: its logits are not finite; remove it or look for a diverged model")]
    NonFiniteSample {
        /// Id of the sample.
        id: String,
    },
    /// Conjugate gradients that cannot go on.
    #[error(
        "seed {id}: in step {step} of conjugate gradients {quantity} is {value:e}, but must be \
         positive and finite; choose a larger damping, or look for non-finite weights"
    )]
    Breakdown {
        /// Id of the seed.
        id: String,
        /// The step, from 1; 0 for the start.
        step: usize,
        /// Which inner product.
        quantity: &'static str,
        /// Its value.
        value: f64,
    },
    /// A dense matrix that is too large to be a witness.
    #[error(
        "a dense matrix of {parameters} parameters takes {bytes} bytes; at most {limit} parameters \
         are allowed, choose fewer layers or a smaller model"
    )]
    TooLarge {
        /// Parameters of the chosen layers.
        parameters: usize,
        /// Bytes of their matrix in f64.
        bytes: u64,
        /// The most parameters allowed.
        limit: usize,
    },
    /// A dense matrix without an inverse.
    #[error("the damped dense matrix is not positive definite; choose a larger damping")]
    NotPositive,
}
