//! Records as instruction, input and answer.

use serde::{Deserialize, Serialize};
use tamis_dataset::{Content, Sample, SampleId};

/// Instruction, input and answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Row {
    /// What is asked for.
    pub instruction: String,
    /// What it is asked about; empty for nothing.
    pub input: String,
    /// The answer.
    pub output: String,
}

/// Why a record cannot be reflected on. It stays as it is, and no teacher is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotARow {
    /// It is a translation.
    #[error("a translation has no instruction to rewrite")]
    Translation,
    /// A chat of more than one question and its answer.
    #[error("a chat of several turns is no instruction and its answer")]
    SeveralTurns,
    /// A chat of one question and its answer behind a turn of the system, which would be lost.
    #[error("a chat's system turn has no place in an instruction and its answer")]
    SystemTurn,
    /// A chat that does not consist of a user's turn and then an assistant's.
    #[error("a chat without a question and then its answer")]
    NoAnswer,
    /// There is no instruction to rewrite.
    #[error("the instruction is blank")]
    BlankInstruction,
}

impl Row {
    /// The row of a sample. A chat of one question and its answer is one without an input.
    ///
    /// # Errors
    /// [`NotARow`] for what has another shape.
    pub fn of(sample: &Sample) -> Result<Self, NotARow> {
        let row = match &sample.content {
            Content::Instruction { instruction, input, output } => Self {
                instruction: instruction.clone(),
                input: input.clone(),
                output: output.clone(),
            },
            Content::Translation { .. } => return Err(NotARow::Translation),
            Content::Chat { messages } => {
                let roles: Vec<&str> = messages.iter().map(|turn| turn.role.as_str()).collect();
                match roles[..] {
                    ["user", "assistant"] => Self {
                        instruction: messages[0].content.clone(),
                        input: String::new(),
                        output: messages[1].content.clone(),
                    },
                    ["system", "user", "assistant"] => return Err(NotARow::SystemTurn),
                    _ if roles.len() > 2 => return Err(NotARow::SeveralTurns),
                    _ => return Err(NotARow::NoAnswer),
                }
            }
        };
        if row.instruction.trim().is_empty() {
            return Err(NotARow::BlankInstruction);
        }
        Ok(row)
    }

    /// The row as a sample, for the student.
    pub fn sample(&self, id: &SampleId, index: usize) -> Sample {
        let Self { instruction, input, output } = self.clone();
        let content = Content::Instruction { instruction, input, output };
        Sample { id: id.clone(), index, content }
    }
}
