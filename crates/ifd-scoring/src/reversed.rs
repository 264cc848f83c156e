//! The reversed sample: guess the instruction from its answer.

use tamis_dataset::{Content, Message, Reason, Sample};

use crate::IfdError;
use crate::params::PLACE;

/// The sample that asks for the instruction of `sample`: `request`, with its answer in the place of
/// `{response}`, has no input, and the answer to it is the instruction with its input in the next
/// line.
///
/// A translation is understood as the instruction to translate into `language`. A system message is
/// not part of what is guessed.
///
/// # Errors
/// [`IfdError::TargetLanguage`] for a translation without a language. A conversation of several
/// questions or a blank answer is no error but a reason (the inner `Err`).
pub fn reversed(
    sample: &Sample,
    request: &str,
    language: Option<&str>,
) -> Result<Result<Sample, Reason>, IfdError> {
    let (instruction, input, answer) = match &sample.content {
        Content::Instruction { instruction, input, output } => {
            (instruction.clone(), input.as_str(), output)
        }
        Content::Translation { source, target } => {
            let Some(language) = language else {
                return Err(IfdError::TargetLanguage {
                    id: sample.id.clone(),
                    index: sample.index,
                });
            };
            (format!("Translate the following text into {language}."), source.as_str(), target)
        }
        Content::Chat { messages } => match exchange(messages) {
            Some((user, assistant)) => (user.content.clone(), "", &assistant.content),
            None => return Ok(Err(Reason::SeveralTurns)),
        },
    };
    if answer.trim().is_empty() {
        return Ok(Err(Reason::EmptyTarget));
    }
    let asked = if input.is_empty() { instruction } else { format!("{instruction}\n{input}") };
    let content = Content::Instruction {
        // Not `replace`: an answer may hold the placeholder itself.
        instruction: request.replacen(PLACE, answer, 1),
        input: String::new(),
        output: asked,
    };
    Ok(Ok(Sample { id: sample.id.clone(), index: sample.index, content }))
}

/// The question and the answer, if the conversation is one of each.
pub(crate) fn exchange(messages: &[Message]) -> Option<(&Message, &Message)> {
    let turns = match messages {
        [system, rest @ ..] if system.role == "system" => rest,
        all => all,
    };
    match turns {
        [user, assistant] if user.role == "user" && assistant.is_assistant() => {
            Some((user, assistant))
        }
        _ => None,
    }
}
