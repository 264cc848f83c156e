//! The part of a sample that a model is given to answer: everything before the answer.

use crate::encode::Encoder;
use crate::error::DatasetError;
use crate::sample::{Content, Message, Sample};
use crate::template::{Surroundings, Template, conversation};

impl Encoder {
    /// The text of a sample up to where its answer begins, the cue to answer included. An answer
    /// that is there is left out; in a conversation that is the last turn, if it is the assistant's.
    ///
    /// # Errors
    /// [`DatasetError::Render`] if the content does not fit the template.
    pub fn prompt_text(&self, sample: &Sample) -> Result<String, DatasetError> {
        let text = self.template().prompt(&sample.content, self.surroundings());
        text.map_err(|reason| self.refusal(sample, reason))
    }

    /// The tokens of [`Encoder::prompt_text`], with the special tokens that begin a text.
    ///
    /// # Errors
    /// As [`Encoder::prompt_text`], and [`DatasetError::Tokenize`] if the tokenizer fails or the
    /// prompt has no token.
    pub fn prompt(&self, sample: &Sample) -> Result<Vec<u32>, DatasetError> {
        let text = self.prompt_text(sample)?;
        let fault =
            |reason| DatasetError::Tokenize { id: sample.id.clone(), index: sample.index, reason };
        // A chat template writes the special tokens itself.
        let special = *self.template() != Template::Chat;
        let encoding = self.tokenizer().encoding(&text, special).map_err(fault)?;
        let mut ids = encoding.get_ids().to_vec();
        // The end-of-sequence token that some tokenizers put at the end would end the answer, too.
        let added = encoding.get_offsets().last().is_some_and(|(start, end)| start == end);
        if ids.len() > 1 && added && ids.last().copied() == self.tokenizer().eos_id() {
            ids.pop();
        }
        if ids.is_empty() {
            return Err(fault("the prompt has no token".to_owned()));
        }
        Ok(ids)
    }
}

impl Template {
    fn prompt(&self, content: &Content, around: Surroundings<'_>) -> Result<String, String> {
        let asked = unanswered(content);
        match (self, &asked) {
            (Template::Vicuna, _) => {
                let messages = turns(&asked, around)?;
                let text = self.render(&Content::Chat { messages }, around)?.text;
                Ok(format!("{text} ASSISTANT:"))
            }
            (Template::Chat, _) => match around.chat {
                Some(template) => template.cue(&turns(&asked, around)?),
                None => Err("the tokenizer has no chat template".to_owned()),
            },
            // The other templates know pairs of one question and one answer: here an empty one.
            (_, Content::Chat { messages }) => {
                let mut messages = messages.clone();
                messages.push(Message::new("assistant", ""));
                Ok(self.render(&Content::Chat { messages }, around)?.text)
            }
            _ => Ok(self.render(&asked, around)?.text),
        }
    }
}

/// The turns of a content without an answer.
fn turns(content: &Content, around: Surroundings<'_>) -> Result<Vec<Message>, String> {
    let mut turns = conversation(content, around.target_language)?;
    if turns.last().is_some_and(|turn| turn.is_assistant() && turn.content.is_empty()) {
        turns.pop();
    }
    Ok(turns)
}

/// The content with an empty answer; of a conversation, without it.
fn unanswered(content: &Content) -> Content {
    match content {
        Content::Instruction { instruction, input, .. } => Content::Instruction {
            instruction: instruction.clone(),
            input: input.clone(),
            output: String::new(),
        },
        Content::Translation { source, .. } => {
            Content::Translation { source: source.clone(), target: String::new() }
        }
        Content::Chat { messages } => {
            let mut messages = messages.clone();
            if messages.last().is_some_and(Message::is_assistant) {
                messages.pop();
            }
            Content::Chat { messages }
        }
    }
}
