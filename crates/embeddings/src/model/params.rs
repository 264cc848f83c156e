//! What a caller can choose about computing embeddings.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_model::Pool;

use crate::EmbeddingsError;

/// How samples are embedded; how they become tokens is for the [`Encoder`](tamis_dataset::Encoder)
/// to say. All of it decides the stored bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbedParams {
    /// The tokens that are averaged over: all, those of the response, or all with weights that grow
    /// with the position. Default: all.
    pub pool: Pool,
    /// Padded tokens of one batch, at most. Default 1024; a GPU wants many more.
    pub token_budget: usize,
    /// Samples of one shard: what is sorted by length together, written together, and redone after
    /// an interruption. Default 512.
    pub shard_rows: usize,
}

impl Default for EmbedParams {
    fn default() -> Self {
        Self { pool: Pool::All, token_budget: 1024, shard_rows: 512 }
    }
}

impl EmbedParams {
    /// Refuses what cannot be honoured.
    ///
    /// # Errors
    /// [`EmbeddingsError::Parameter`]: a size of zero.
    pub fn check(self) -> Result<Self, EmbeddingsError> {
        for (name, value) in [("token_budget", self.token_budget), ("shard_rows", self.shard_rows)]
        {
            ParameterError::at_least(name, value, 1)?;
        }
        Ok(self)
    }
}
