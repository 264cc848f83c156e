//! Embeddings from a language model: the only part that needs LibTorch.

mod embedder;
mod estimate;
mod params;
mod pass;

pub use embedder::{Embedder, Embedding};
pub use params::EmbedParams;
