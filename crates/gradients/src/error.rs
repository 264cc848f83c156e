//! The one error of this crate.

use tamis_artifact::ArtifactError;
use tamis_dataset::DatasetError;
use tamis_model::ModelError;

/// Why a gradient pass could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GradientError {
    /// LibTorch refused an operation.
    #[error("LibTorch: {0}")]
    Torch(#[from] tch::TchError),
    /// The model could not be run.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The data could not be read or tokenised.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A stored artefact could not be written, read or does not belong here.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A shard is not what this crate writes.
    #[error("gradient shard {shard}: {reason}; delete the folder and run the pass again")]
    Shard {
        /// Name of the shard.
        shard: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A parameter is out of its range.
    #[error("{name} is {value}, but must be {expected}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A chosen layer was not reached by the forward pass.
    #[error("layer {name} was chosen but the forward pass never reached it")]
    LayerNotReached {
        /// Name of the layer.
        name: String,
    },
    /// A reducer of another crate could not do its part.
    #[error("a layer's gradients could not be reduced: {source}")]
    Reducer {
        /// What it reports.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The manifest of a store lacks what its rows cannot be read without.
    #[error(
        "{}: field `{field}` of its manifest is {found}, expected {expected}; the rows cannot be read, \
         delete the folder and run the pass again",
        dir.display()
    )]
    Manifest {
        /// The folder.
        dir: std::path::PathBuf,
        /// Name of the field.
        field: &'static str,
        /// What is there.
        found: String,
        /// What should be.
        expected: &'static str,
    },
    /// A value does not fit the type the rows are stored in.
    #[error(
        "sample {id}: a projected gradient of magnitude {magnitude:e} does not fit {dtype}; \
         store rows as bf16 or f32, in a new folder"
    )]
    Overflow {
        /// Id of the sample.
        id: String,
        /// Largest magnitude in its row.
        magnitude: f64,
        /// Name of the row type.
        dtype: &'static str,
    },
    /// A row was asked for that the store does not have.
    #[error("row {index} of the pool has no stored gradient: it was skipped, or never part of it")]
    NoRow {
        /// Row of the pool.
        index: usize,
    },
}

impl GradientError {
    /// What a [`Reducer`](crate::Reducer) returns where something of its own has failed; the error
    /// stays its source.
    pub fn reducer(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Reducer { source: source.into() }
    }
}
