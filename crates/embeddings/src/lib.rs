#![doc = include_str!("../README.md")]

mod artefact;
mod convert;
mod embeddings;
mod error;
mod ids;
mod mapped;
#[cfg(feature = "model")]
mod model;
mod npy;
#[cfg(feature = "parquet")]
mod parquet_file;
mod piece;
mod read;
mod rows;
mod safetensors_file;
mod write;

pub use artefact::{EmbeddingStore, NoEmbedding, Shard};
pub use embeddings::Embeddings;
pub use error::EmbeddingsError;
#[cfg(feature = "model")]
pub use model::{EmbedParams, Embedder, Embedding};
pub use read::OpenOptions;
