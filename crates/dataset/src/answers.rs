//! Which answers of a conversation are learned.

use serde::{Deserialize, Serialize};

use crate::sample::{Content, Message};

/// Which answers of a conversation are targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// All of them, as in training.
    #[default]
    All,
    /// The last alone, for what is said of one answer; the earlier ones are part of its prompt. A conversation whose last
    /// answer is blank, or cut away by the length limit, is unscorable: no earlier answer stands in for it.
    Last,
}

impl Answers {
    /// The turn from which on answers are targets.
    pub(crate) fn first(self, turns: &[Message]) -> usize {
        match self {
            Answers::All => 0,
            Answers::Last => turns.iter().rposition(Message::is_assistant).unwrap_or(turns.len()),
        }
    }

    /// Whether there is nothing to learn: no answer, or answers of whitespace only.
    pub(crate) fn are_blank(self, content: &Content) -> bool {
        let first = match content {
            Content::Chat { messages } => self.first(messages),
            _ => 0,
        };
        content.answers_from(first).all(|text| text.trim().is_empty())
    }
}
