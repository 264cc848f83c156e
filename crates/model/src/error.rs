//! Everything that can go wrong when a model is loaded, run or saved.

use std::path::PathBuf;

use tch::TchError;

/// What was found, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// LibTorch refused an operation (shape, memory, device).
    #[error("LibTorch: {0}")]
    Torch(#[from] TchError),

    /// A file could not be read, or a folder not be made.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system reported.
        source: std::io::Error,
    },

    /// A file could not be written; an earlier one of that name is as it was.
    #[error(transparent)]
    Artifact(#[from] tamis_artifact::ArtifactError),

    /// A file that should hold JSON does not.
    #[error("{path}: not valid JSON: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Line and column of the mistake.
        source: serde_json::Error,
    },

    /// `config.json` lacks a field, or a field has a value this crate cannot honour.
    #[error("{path}: `{field}` is {found}; expected {expected}")]
    Config {
        /// The configuration file.
        path: PathBuf,
        /// The field, with its parents (`rope_scaling.rope_type`).
        field: String,
        /// Its value, or "missing".
        found: String,
        /// What is supported.
        expected: String,
    },

    /// The folder holds no weights in a format that can be read.
    #[error(
        "{dir}: no model.safetensors or model.safetensors.index.json here{hint}; \
         convert the weights to safetensors first"
    )]
    NoWeights {
        /// The model folder.
        dir: PathBuf,
        /// What was found instead, if anything.
        hint: String,
    },

    /// A safetensors file is truncated or damaged.
    #[error("{path}: {source}; the file is damaged or incomplete, fetch it again")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: safetensors::SafeTensorError,
    },

    /// The shard index and the shards disagree.
    #[error("{path}: {problem}")]
    ShardIndex {
        /// The index file.
        path: PathBuf,
        /// How they disagree.
        problem: String,
    },

    /// A weight that the architecture needs is not in the checkpoint.
    #[error("{dir}: tensor `{name}` is missing; the architecture in config.json needs it{hint}")]
    MissingTensor {
        /// The model folder.
        dir: PathBuf,
        /// The name looked for.
        name: String,
        /// What may be the cause, if known.
        hint: String,
    },

    /// A weight has another shape than config.json implies.
    #[error("tensor `{name}` has shape {found:?}, but config.json implies {expected:?}")]
    WrongShape {
        /// The tensor.
        name: String,
        /// Shape in the file.
        found: Vec<i64>,
        /// Shape needed.
        expected: Vec<i64>,
    },

    /// A weight is stored in a data type that cannot be read.
    #[error("tensor `{name}` is stored as {found}; supported are F64, F32, F16 and BF16")]
    UnsupportedDtype {
        /// The tensor.
        name: String,
        /// Its data type in the file.
        found: String,
    },

    /// A weight holds NaN or infinity, in the file or after conversion to the kind asked for.
    #[error(
        "tensor `{name}` holds {count} non-finite values of {total} (as {kind}); \
         the checkpoint is damaged, or its values do not fit {kind}"
    )]
    NonFinite {
        /// The tensor.
        name: String,
        /// How many of its values are not finite.
        count: usize,
        /// How many values it has.
        total: usize,
        /// The kind it was converted to.
        kind: crate::DType,
    },

    /// The checkpoint holds weights that the architecture does not know.
    #[error(
        "{dir}: {count} tensors that this architecture does not have, the first `{first}`; \
         config.json does not describe these weights"
    )]
    UnknownTensors {
        /// The model folder.
        dir: PathBuf,
        /// How many.
        count: usize,
        /// The first in alphabetical order.
        first: String,
    },

    /// An input holds a token id that the embedding has no row for.
    #[error(
        "token id {id} is outside the vocabulary of {vocab} tokens; do tokenizer and model belong together?"
    )]
    TokenOutOfVocabulary {
        /// The id.
        id: i64,
        /// Rows of the embedding.
        vocab: usize,
    },

    /// An input is longer than the model can take.
    #[error(
        "input of {length} tokens is longer than the model's limit of {limit} (`{field}` in config.json); truncate samples to it"
    )]
    InputTooLong {
        /// Tokens in the padded input.
        length: usize,
        /// The longest input.
        limit: usize,
        /// The field of config.json that sets it.
        field: &'static str,
    },
    /// A model gives no probabilities.
    #[error(
        "the logits after token {step} of {rows} texts are not finite: weights or adapter are damaged, \
         or overflow in {kind:?}"
    )]
    Logits {
        /// Tokens generated before.
        step: usize,
        /// Texts that were being generated.
        rows: usize,
        /// The kind of the weights.
        kind: tch::Kind,
    },

    /// A tensor given by the caller has a shape or kind that makes no sense here.
    #[error("{what}: found {found}, expected {expected}")]
    BadInput {
        /// Which input.
        what: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: String,
    },

    /// A batch of no tokens.
    #[error("a batch needs at least one sample with at least one token")]
    EmptyBatch,

    /// A sample has nothing to be scored on.
    #[error(
        "sample `{id}` has no supervised token after its first; filter such samples before batching"
    )]
    NoTarget {
        /// The sample.
        id: String,
    },

    /// CUDA was asked for by name and cannot be used.
    #[error("device {device} was asked for, but {reason}; use `cpu` or `auto`")]
    CudaUnavailable {
        /// The device as written by the user.
        device: String,
        /// Why it cannot be used.
        reason: String,
    },

    /// The number of threads cannot be had.
    #[error("{count} threads were asked for, but {problem}")]
    Threads {
        /// The number.
        count: usize,
        /// Why not.
        problem: String,
    },

    /// An option is not one of its possible values.
    #[error("`{found}` is no {what}; expected {expected}")]
    Option {
        /// Which option.
        what: &'static str,
        /// What was given.
        found: String,
        /// Its possible values.
        expected: &'static str,
    },

    /// A layer pattern is not a regular expression.
    #[error("layer pattern `{pattern}`: {source}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        source: regex::Error,
    },

    /// A layer pattern matches no linear layer of the model.
    #[error(
        "layer pattern `{pattern}` matches none of the {count} linear layers, such as {examples}"
    )]
    NoLayerMatches {
        /// The pattern.
        pattern: String,
        /// How many layers there are.
        count: usize,
        /// Some names.
        examples: String,
    },

    /// A tokenizer, template or text cannot be used.
    #[error(transparent)]
    Dataset(#[from] tamis_dataset::DatasetError),

    /// A tokenizer was asked for that the folder does not hold.
    #[error("{dir}: there is no tokenizer.json here, so no text can become tokens")]
    NoTokenizer {
        /// The model folder.
        dir: PathBuf,
    },

    /// A folder with an adapter was opened as a model.
    #[error(
        "{dir} holds an adapter (adapter_config.json): open the model it was trained for and attach \
         the adapter to it, or merge the two first"
    )]
    AdapterFolder {
        /// The folder.
        dir: PathBuf,
    },

    /// An adapter's own numbers cannot be read.
    #[error("adapter: {0}")]
    Adapter(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// Two sets of parameters do not have the same names and shapes.
    #[error("parameters differ: {problem}")]
    ParameterMismatch {
        /// The first difference.
        problem: String,
    },
}

impl ModelError {
    /// Adapter for `map_err`: an I/O error at `path`.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
