//! The file formats and how they are told apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::DatasetError;
use crate::params::Fields;

/// A file format. In command lines and configuration files it has the kebab-case name given here.
///
/// Of the JSON formats only Alpaca distinguishes an array from lines; a file of the others may be either, told by its
/// first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// `alpaca-json`: one JSON array of objects with `instruction`, `input` (optional) and `output`.
    AlpacaJson,
    /// `alpaca-jsonl`: the same objects, one a line.
    AlpacaJsonl,
    /// `messages`: objects with `messages`, a list of `{"role", "content"}`.
    Messages,
    /// `share-gpt`: objects with `conversations`, a list of `{"from", "value"}`; `human` and `gpt` become `user` and
    /// `assistant`.
    ShareGpt,
    /// `translation-jsonl`: objects with a source and a target text (`src` and `tgt`, or as [`Fields`] says).
    TranslationJsonl,
    /// `text-jsonl`: objects with a `text`, all of it to be learned, as models are pre-trained on.
    TextJsonl,
    /// `tsv`: a source and a target separated by one tab, no quoting; a first line that names the two fields is a header.
    Tsv,
    /// `parallel-text`: two text files, line n of one translating line n of the other.
    ParallelText,
    /// `parquet`: columns named as the fields of Alpaca, translation or text rows (feature `parquet`).
    Parquet,
}

impl Format {
    const ALL: [(Format, &'static str); 9] = [
        (Format::AlpacaJson, "alpaca-json"),
        (Format::AlpacaJsonl, "alpaca-jsonl"),
        (Format::Messages, "messages"),
        (Format::ShareGpt, "share-gpt"),
        (Format::TranslationJsonl, "translation-jsonl"),
        (Format::TextJsonl, "text-jsonl"),
        (Format::Tsv, "tsv"),
        (Format::ParallelText, "parallel-text"),
        (Format::Parquet, "parquet"),
    ];

    /// The names of all formats.
    pub fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|&(_, name)| name).collect()
    }

    /// The kebab-case name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|&&(format, _)| format == self).map_or("", |&(_, name)| name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Format {
    type Err = DatasetError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .find(|&&(_, known)| known == name)
            .map(|&(format, _)| format)
            .ok_or_else(|| DatasetError::FormatName { name: name.to_owned() })
    }
}

/// How the fields of a row make up its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    Alpaca,
    Messages,
    ShareGpt,
    Translation,
    Text,
}

impl Schema {
    /// The schema that a row with these fields must have, if any. Conversations are asked for first: rows that carry
    /// both a conversation and a flattened copy of it are common, and the conversation says more.
    pub(crate) fn detect(row: &Value, fields: &Fields) -> Option<Schema> {
        let has = |field: &str| crate::schema::lookup(row, field).is_some();
        let answer = |field: &str| fields.optional_answer || has(field);
        if has(&fields.messages) {
            Some(Schema::Messages)
        } else if has(&fields.conversations) {
            Some(Schema::ShareGpt)
        } else if has(&fields.instruction) && answer(&fields.output) {
            Some(Schema::Alpaca)
        } else if has(&fields.source) && answer(&fields.target) {
            Some(Schema::Translation)
        } else if has(&fields.text) {
            Some(Schema::Text)
        } else {
            None
        }
    }
}
