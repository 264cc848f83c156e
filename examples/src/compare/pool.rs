//! The pool that all selections come from.

use std::collections::HashMap;

use anyhow::{Result, bail};
use tamis::dataset::{Content, Dataset};
use tamis::embeddings::Embeddings;

use super::Flags;
use crate::open_rows;
use crate::select::{Candidate, Candidates};

/// Rows and embeddings, joined.
#[derive(Debug)]
pub struct Pool {
    /// The embeddings, if there are any.
    pub embeddings: Option<Embeddings>,
    data: Option<Dataset>,
    candidates: Candidates,
    by_id: HashMap<String, usize>,
}

/// The texts of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// What is asked: instruction and input, all that is not an answer, or the source.
    pub question: String,
    /// What is answered.
    pub answer: String,
}

impl Pool {
    /// Opens what the flags name.
    ///
    /// # Errors
    /// What cannot be read, and data and embeddings that do not fit together.
    pub fn open(flags: &Flags) -> Result<Self> {
        let open = |path| open_rows(path, flags.format, flags.skip_bad_rows, false);
        let data = flags.data.as_deref().map(open).transpose()?;
        let open = |path| Embeddings::open_with(path, &flags.reading());
        let embeddings = flags.embeddings.as_ref().map(open).transpose()?;
        let candidates = match (&data, &embeddings) {
            (data, Some(embeddings)) => {
                Candidates::join(data.as_ref(), embeddings, flags.in_order)?
            }
            (Some(data), None) => Candidates::expected(data)?,
            (None, None) => bail!("name the pool with --embeddings, --data or both"),
        };
        let ids = candidates.all().iter().enumerate();
        let by_id = ids.map(|(position, row)| (row.id.clone(), position)).collect();
        Ok(Self { embeddings, data, candidates, by_id })
    }

    /// All rows.
    pub fn rows(&self) -> &[Candidate] {
        self.candidates.all()
    }

    /// Whether texts are known.
    pub fn has_texts(&self) -> bool {
        self.data.is_some()
    }

    /// Position of the row with this id.
    pub fn of_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    /// Position of the row with this index.
    pub fn of_index(&self, index: usize) -> Option<usize> {
        self.candidates.at(index)
    }

    /// The texts of some rows, if there is data.
    ///
    /// # Errors
    /// Data that cannot be read any more.
    pub fn texts(&self, positions: &[usize]) -> Result<Option<Vec<Texts>>> {
        let Some(data) = &self.data else { return Ok(None) };
        let rows = data.read(positions)?;
        Ok(Some(rows.into_iter().map(|row| Texts::of(row.content)).collect()))
    }
}

impl Texts {
    fn of(content: Content) -> Self {
        match content {
            Content::Instruction { instruction, input, output } => {
                let question =
                    if input.is_empty() { instruction } else { format!("{instruction}\n{input}") };
                Self { question, answer: output }
            }
            Content::Translation { source, target } => Self { question: source, answer: target },
            Content::Chat { messages } => {
                let (answers, questions): (Vec<_>, Vec<_>) =
                    messages.into_iter().partition(|message| message.role == "assistant");
                let text = |messages: Vec<tamis::dataset::Message>| {
                    let texts: Vec<String> = messages.into_iter().map(|m| m.content).collect();
                    texts.join("\n")
                };
                Self { question: text(questions), answer: text(answers) }
            }
        }
    }
}
