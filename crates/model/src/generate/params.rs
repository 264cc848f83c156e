//! How text is generated, and what comes out.

use serde::{Deserialize, Serialize};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum DecodingStrategy {
    /// The most probable token.
    #[default]
    Greedy,
    /// A random one.
    Sample {
        /// Divides the logits: above 0; below 1 sharpens, above 1 flattens the distribution.
        temperature: f64,
        /// Only the most probable tokens that together have at least this probability (nucleus
        /// sampling, arXiv 1904.09751): above 0; 1 keeps all.
        top_p: f64,
        /// Only this many of the most probable tokens; 0 keeps all.
        top_k: usize,
        /// Decides the draws. Each prompt has its own stream, keyed by (seed, its place in the
        /// list) or as [`generate_streams`](crate::Generator::generate_streams) is told, so that batches
        /// do not matter.
        seed: u64,
    },
    /// Beam search: the most probable continuation among those that `beams` parallel hypotheses
    /// lead to.
    Beam {
        /// Hypotheses kept, at least 1.
        beams: usize,
        /// Hypotheses are compared by log-probability ÷ lengthᵖ, the stop token counted; p above 0
        /// favours long ones, 0 compares log-probabilities.
        length_penalty: f64,
        /// Stop a prompt as soon as `beams` hypotheses are complete, rather than when no running
        /// one is better than the worst of them.
        early_stopping: bool,
    },
}

/// How to generate; [`check`](GenerateParams::check) turns it into a [`Generator`](crate::Generator).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateParams {
    /// Most tokens after a prompt; fewer where the model's positions end earlier. Default 128.
    pub max_new_tokens: usize,
    /// How the next token is chosen. Default greedy.
    pub strategy: DecodingStrategy,
    /// Tokens that end a text, such as the end-of-sequence token; they are not part of the result.
    /// Default none.
    pub stop: Vec<u32>,
    /// Tokens, prompts and continuations, that are kept for one batch (a beam counts as a row).
    /// Bounds memory, changes nothing else. Default 16,384.
    pub token_budget: usize,
}

impl Default for GenerateParams {
    fn default() -> Self {
        Self {
            max_new_tokens: 128,
            strategy: DecodingStrategy::Greedy,
            stop: Vec::new(),
            token_budget: 16_384,
        }
    }
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model gave a stop token.
    Stop,
    /// It reached `max_new_tokens`, or the end of the model's positions.
    Length,
}

/// What was generated for one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The new tokens, without the stop token.
    pub ids: Vec<u32>,
    /// Why there are no more.
    pub finish: Finish,
    /// Natural logarithm of the probability that the model gives them, the stop token counted and
    /// without temperature.
    pub log_prob: f64,
}
