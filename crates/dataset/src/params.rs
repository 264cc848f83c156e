//! What a caller can choose about reading and encoding.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::answers::Answers;
use crate::error::DatasetError;
use crate::format::Format;

/// What happens at a row that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// Opening stops with an error that names file, line and field.
    #[default]
    Strict,
    /// The row is left out and listed in [`Dataset::rejects`](crate::Dataset::rejects).
    Skip,
}

/// Which fields of a row hold what.
///
/// A name may be a path: `translation.de` is the field `de` of the object `translation` (a field whose own name contains
/// the dot is preferred if there is one).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fields {
    /// The row's id: a string or an integer. Default `id`; rows without it are named by a hash of their content.
    pub id: String,
    /// Alpaca: what is asked for. Default `instruction`.
    pub instruction: String,
    /// Alpaca: what it is asked about, may be missing. Default `input`.
    pub input: String,
    /// Alpaca: the answer. Default `output`.
    pub output: String,
    /// Translation: the text to translate. Default `src`.
    pub source: String,
    /// Translation: the translation. Default `tgt`.
    pub target: String,
    /// Chat: the list of turns. Default `messages`.
    pub messages: String,
    /// `ShareGPT`: the list of turns. Default `conversations`.
    pub conversations: String,
    /// Plain text to be learned as a whole. Default `text`.
    pub text: String,
    /// Whether a row may lack its answer (`output`, `target`), as questions do that a model is to answer; a
    /// missing one is empty. Default false. Files of two columns always have both.
    pub optional_answer: bool,
}

impl Default for Fields {
    fn default() -> Self {
        Fields {
            id: "id".into(),
            instruction: "instruction".into(),
            input: "input".into(),
            output: "output".into(),
            source: "src".into(),
            target: "tgt".into(),
            messages: "messages".into(),
            conversations: "conversations".into(),
            text: "text".into(),
            optional_answer: false,
        }
    }
}

/// How a file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadOptions {
    /// The format; `None` tells it from the extension and the first row.
    pub format: Option<Format>,
    /// What happens at a bad row.
    pub on_error: OnError,
    /// Which fields hold what.
    pub fields: Fields,
}

/// What happens to a sample longer than the limit. The end is cut, never the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Truncation {
    /// A sample that would lose even one target token is
    /// [`Reason::TargetTruncated`](crate::Reason::TargetTruncated): half a target teaches a model to stop
    /// anywhere. A sample that loses only text after its last target is cut.
    #[default]
    RejectCut,
    /// A sample keeps the targets that fit and is marked `truncated`; only one that keeps none is unscorable.
    KeepPrefix,
}

/// How samples become tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EncodeOptions {
    /// The most tokens a sample may have, special tokens included; at least 2. Default 512.
    pub max_length: usize,
    /// What happens to longer samples.
    pub truncation: Truncation,
    /// Which answers of a conversation are targets.
    pub answers: Answers,
    /// Whether the end-of-sequence token is put after the last response and learned (default true). Without effect if the
    /// tokenizer has none, and with [`Template::Chat`](crate::Template::Chat), which writes its own end marker.
    pub append_eos: bool,
    /// The language translation rows are translated into, by its English name, for templates that do not say it
    /// themselves: all but [`Template::Translation`](crate::Template::Translation).
    pub target_language: Option<String>,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        EncodeOptions {
            max_length: 512,
            truncation: Truncation::default(),
            answers: Answers::default(),
            append_eos: true,
            target_language: None,
        }
    }
}

impl EncodeOptions {
    /// Refuses a length limit below 2: a target needs a token before it.
    pub(crate) fn check(&self) -> Result<(), DatasetError> {
        let expected = "at least 2: a target token and one before it";
        Ok(ParameterError::require(self.max_length >= 2, "max_length", self.max_length, expected)?)
    }
}
