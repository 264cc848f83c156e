//! The file formats and how they are told apart.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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
    /// `translation-jsonl`: objects with a source and a target text (`src` and `tgt`, or as [`Fields`](crate::Fields) says).
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
    type Err = FormatNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .find(|&&(_, known)| known == name)
            .map(|&(format, _)| format)
            .ok_or_else(|| FormatNameError(name.to_owned()))
    }
}

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no data format; expected one of {names}", names = Format::names().join(", "))]
pub struct FormatNameError(pub String);
