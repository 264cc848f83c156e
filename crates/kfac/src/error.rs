//! The one error of this crate.

use tamis_artifact::ArtifactError;
use tamis_dataset::DatasetError;
use tamis_gradients::GradientError;
use tamis_model::ModelError;

use crate::CurvatureKind;

/// Why curvature could not be fitted, stored or applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KfacError {
    /// LibTorch refused an operation.
    #[error("LibTorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The model could not be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data could not be read or tokenised.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Gradients could not be taken.
    #[error(transparent)]
    Gradients(#[from] GradientError),
    /// A stored artefact could not be written, read or does not belong here.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A sample gave values that are not finite.
    #[error(
        "sample {sample}: its activations or gradients at layer {layer} are not finite; look for a \
         diverged model or a damaged sample, or ask for such samples to be skipped"
    )]
    NonFinite {
        /// Name of the first layer at which they are not.
        layer: String,
        /// Id of the sample.
        sample: String,
    },
    /// A factored damping for a curvature without factors.
    #[error(
        "layer {layer}: tikhonov damping splits over Kronecker factors, which the diagonal does not \
         have; use relative:C or absolute:D"
    )]
    NoFactors {
        /// Name of the layer.
        layer: String,
    },
    /// A projection whose gradients' curvature is not known.
    #[error(
        "the {kind} curvature of gradients projected in this way is not known; score whole gradients, \
         or store rows as {expected}"
    )]
    Projected {
        /// Which curvature.
        kind: CurvatureKind,
        /// Projections it is known for.
        expected: &'static str,
    },
    /// The head among the layers.
    #[error(
        "layer {layer} is the head: it sees only the positions that predict a target, so its factors \
         would not be means over the same tokens; leave it out of the layers, or use no curvature"
    )]
    Head {
        /// Name of the layer.
        layer: String,
    },
    /// Factors that do not fit together.
    #[error("factors cannot be merged: {reason}")]
    Merge {
        /// What differs.
        reason: String,
    },
    /// A shard is not what this crate writes.
    #[error("factor shard {shard}: {reason}; delete the folder and fit again")]
    Shard {
        /// Name of the shard.
        shard: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No token was seen.
    #[error("no sample of the {samples} given can be used to fit curvature")]
    NoTokens {
        /// How many samples were tried.
        samples: usize,
    },
    /// A solve with a layer that has no factors.
    #[error("layer {layer} has no curvature factors; fit them for the same layers")]
    UnknownLayer {
        /// Name of the layer.
        layer: String,
    },
    /// Gradients of another shape than the factors.
    #[error("layer {layer}: gradients of shape {found:?}, expected (rows, {out}, {columns})")]
    Shape {
        /// Name of the layer.
        layer: String,
        /// Shape given.
        found: Vec<i64>,
        /// Rows of a gradient.
        out: i64,
        /// Columns of a gradient.
        columns: i64,
    },
    /// Nothing to divide by.
    #[error(
        "layer {layer}: with damping {damping:e} the smallest damped eigenvalue is {smallest:e}; \
         the curvature cannot be inverted, choose a larger damping"
    )]
    Singular {
        /// Name of the layer.
        layer: String,
        /// The damping that was added.
        damping: f64,
        /// The smallest damped eigenvalue.
        smallest: f64,
    },
    /// A damping that is negative or not a number.
    #[error("damping is {value}, but must be a finite number of at least 0")]
    Damping {
        /// The value given.
        value: f64,
    },
}
