//! What a row is once it has been read: an id, its place in the file and its text.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Hexadecimal digits of a content hash used as an id: 80 bits, so that two different rows of a
/// million share one with a probability below 10⁻¹².
const HASH_ID_DIGITS: usize = 20;

/// The stable name of a sample, the key of every join between artefacts.
///
/// It is the row's own `id` where it has one, otherwise a hash of its content. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct SampleId(Arc<str>);

impl SampleId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SampleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for SampleId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SampleId {
    fn from(text: &str) -> Self {
        SampleId(Arc::from(text))
    }
}

impl From<String> for SampleId {
    fn from(text: String) -> Self {
        SampleId(Arc::from(text))
    }
}

impl From<SampleId> for String {
    fn from(id: SampleId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, or another role that a chat template knows.
    pub role: String,
    /// What was said.
    pub content: String,
}

impl Message {
    /// A turn of `role` saying `content`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Message { role: role.into(), content: content.into() }
    }

    /// Whether this turn is the model's own, that is, one to learn from.
    pub fn is_assistant(&self) -> bool {
        self.role == "assistant"
    }
}

/// The text of a sample, in one of the shapes that instruction data comes in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// An instruction, an optional input it works on, and the answer.
    Instruction {
        /// What is asked for.
        instruction: String,
        /// What it is asked about; empty if there is nothing.
        input: String,
        /// The answer: the text to learn.
        output: String,
    },
    /// A conversation; every assistant turn is text to learn.
    Chat {
        /// The turns in order, never none.
        messages: Vec<Message>,
    },
    /// A sentence or paragraph and its translation.
    Translation {
        /// The text to translate.
        source: String,
        /// Its translation: the text to learn.
        target: String,
    },
}

impl Content {
    /// The id of a row that brings none: 20 hexadecimal digits of a BLAKE3 hash over the kind of content and
    /// every text in it, each preceded by its length, so that no two contents are written alike.
    pub fn hash_id(&self) -> SampleId {
        let mut hasher = blake3::Hasher::new();
        let mut feed = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        match self {
            Content::Instruction { instruction, input, output } => {
                ["instruction", instruction, input, output].into_iter().for_each(&mut feed);
            }
            Content::Chat { messages } => {
                feed("chat");
                for message in messages {
                    feed(&message.role);
                    feed(&message.content);
                }
            }
            Content::Translation { source, target } => {
                ["translation", source, target].into_iter().for_each(&mut feed);
            }
        }
        SampleId::from(&hasher.finalize().to_hex()[..HASH_ID_DIGITS])
    }

    /// Whether there is nothing to learn: no answer, or answers of whitespace only.
    pub fn target_is_blank(&self) -> bool {
        self.answers_from(0).all(|text| text.trim().is_empty())
    }

    /// The texts to learn; of a conversation those from turn `first` on.
    pub(crate) fn answers_from(&self, first: usize) -> impl Iterator<Item = &str> {
        let (one, turns) = match self {
            Content::Instruction { output, .. } => (Some(output), &[][..]),
            Content::Translation { target, .. } => (Some(target), &[][..]),
            Content::Chat { messages } => (None, messages.get(first..).unwrap_or_default()),
        };
        let turns = turns.iter().filter(|turn| turn.is_assistant()).map(|turn| &turn.content);
        one.into_iter().chain(turns).map(String::as_str)
    }

    /// The text to learn; of a conversation the last answer, empty if there is none.
    pub fn answer(&self) -> &str {
        match self {
            Content::Instruction { output, .. } => output,
            Content::Translation { target, .. } => target,
            Content::Chat { messages } => {
                let last = messages.iter().rfind(|message| message.is_assistant());
                last.map_or("", |message| &message.content)
            }
        }
    }

    /// One word for messages: `instruction`, `chat` or `translation`.
    pub fn kind(&self) -> &'static str {
        match self {
            Content::Instruction { .. } => "instruction",
            Content::Chat { .. } => "chat",
            Content::Translation { .. } => "translation",
        }
    }
}

/// One row of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its name, unique in the data set.
    pub id: SampleId,
    /// Its 0-based row in the file (rejected rows count, blank lines do not).
    pub index: usize,
    /// Its text.
    pub content: Content,
}

impl Sample {
    /// A question and its answer. Like all samples made here, it is row 0 and named by its content.
    pub fn instruction(instruction: impl Into<String>, output: impl Into<String>) -> Self {
        Self::with_input(instruction, "", output)
    }

    /// An instruction, the input it works on, and the answer.
    pub fn with_input(
        instruction: impl Into<String>,
        input: impl Into<String>,
        output: impl Into<String>,
    ) -> Self {
        Content::Instruction {
            instruction: instruction.into(),
            input: input.into(),
            output: output.into(),
        }
        .into()
    }

    /// A text and its translation.
    pub fn translation(source: impl Into<String>, target: impl Into<String>) -> Self {
        Content::Translation { source: source.into(), target: target.into() }.into()
    }

    /// A conversation.
    pub fn chat(messages: impl IntoIterator<Item = Message>) -> Self {
        Content::Chat { messages: messages.into_iter().collect() }.into()
    }

    /// The same sample under this name.
    #[must_use]
    pub fn with_id(self, id: impl Into<SampleId>) -> Self {
        Sample { id: id.into(), ..self }
    }
}

impl From<Content> for Sample {
    fn from(content: Content) -> Self {
        Sample { id: content.hash_id(), index: 0, content }
    }
}
