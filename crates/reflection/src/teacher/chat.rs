//! A request, its reply, and the ways in which there is no reply.

use serde::{Deserialize, Serialize};
use tamis_dataset::Message;

/// A chat that a teacher is to continue, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The turns so far.
    pub messages: Vec<Message>,
    /// Longest reply in tokens.
    pub max_tokens: u32,
    /// 0 for the most probable reply; above, replies are drawn.
    pub temperature: f64,
    /// Draw among the most probable tokens with this much probability together; 1 for all.
    pub top_p: f64,
    /// Seed of the draws, for teachers that take one.
    pub seed: Option<u64>,
}

/// How a reply ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// By itself.
    Stop,
    /// Cut at the longest length.
    Length,
    /// Otherwise, in the teacher's own word.
    Other(String),
}

/// Tokens that a reply took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the request.
    pub prompt_tokens: u64,
    /// Tokens of the reply.
    pub completion_tokens: u64,
}

/// What a teacher said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The text.
    pub text: String,
    /// How it ended.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
    /// Whether it was known before, and so cost nothing now.
    #[serde(skip)]
    pub cached: bool,
}

/// Why a request has no reply although it was tried as often as allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoReply {
    /// No answer in time.
    #[error("no answer within {seconds} s, {attempts} attempts")]
    Timeout {
        /// The limit.
        seconds: u64,
        /// How often it was tried.
        attempts: u32,
    },
}
