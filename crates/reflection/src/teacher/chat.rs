//! A request and its reply.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::Message;

use crate::{Decoding, ReflectionError};

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

impl ChatRequest {
    /// Refuses what no teacher can be asked: no turn, no token of reply, numbers outside their range.
    ///
    /// # Errors
    /// [`ReflectionError::Parameter`] for the first such setting.
    pub fn check(&self) -> Result<(), ReflectionError> {
        let asked = !self.messages.is_empty();
        ParameterError::require(asked, "messages", "empty", "at least one turn")?;
        let Self { max_tokens, temperature, top_p, seed, .. } = *self;
        Ok(Decoding { max_tokens, temperature, top_p, seed }.check()?)
    }
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

impl Usage {
    /// Adds the tokens of another reply.
    pub fn add(&mut self, other: Usage) {
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(other.completion_tokens);
    }
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
