//! One row as a system prompt, earlier exchanges, and the last question with its answer.

use serde_json::{Value, json};

use crate::sample::{Content, Message, Sample};
use crate::template::{Template, conversation, single_turn, user_turn};

/// A row on its way into any of the forms.
pub(super) struct Exchange {
    system: Option<String>,
    /// Questions and answers.
    history: Vec<(String, String)>,
    instruction: String,
    input: String,
    output: String,
}

/// Columns that not every file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) system: bool,
    pub(super) history: bool,
}

impl Columns {
    pub(super) fn join(&mut self, other: Self) {
        self.system |= other.system;
        self.history |= other.history;
    }
}

/// Splits a row, or says why it cannot be split.
pub(super) fn exchange(
    content: &Content,
    template: &Template,
    language: Option<&str>,
) -> Result<Exchange, String> {
    let alone = |instruction, input, output| Exchange {
        system: None,
        history: Vec::new(),
        instruction,
        input,
        output,
    };
    match (content, template) {
        (Content::Chat { messages }, _) => turns(messages),
        (Content::Instruction { .. }, _) | (_, Template::Alpaca | Template::None) => {
            let turn = single_turn(content, language)?;
            Ok(alone(turn.instruction, turn.input, turn.output))
        }
        (Content::Translation { target, .. }, _) => {
            let language = match template {
                Template::Translation { target_language } => Some(target_language.as_str()),
                _ => language,
            };
            let mut turns = conversation(content, language)?;
            let prompt = turns.swap_remove(0).content;
            Ok(alone(prompt, String::new(), target.clone()))
        }
    }
}

/// Splits a conversation: at most one system turn, then questions and answers in turn.
fn turns(messages: &[Message]) -> Result<Exchange, String> {
    let (system, rest) = match messages {
        [first, rest @ ..] if first.role == "system" => (Some(first.content.clone()), rest),
        all => (None, all),
    };
    let skipped = messages.len() - rest.len();
    for (place, turn) in rest.iter().enumerate() {
        let expected = if place % 2 == 0 { "user" } else { "assistant" };
        if turn.role != expected {
            return Err(format!(
                "turn {} is by `{}` where `{expected}` must follow: it takes questions and answers in turn, after at \
                 most one system turn",
                place + skipped + 1,
                turn.role
            ));
        }
    }
    if !rest.len().is_multiple_of(2) {
        return Err("the conversation ends with a question: it must end with an answer".to_owned());
    }
    let mut pairs: Vec<(String, String)> = rest
        .chunks_exact(2)
        .map(|pair| (pair[0].content.clone(), pair[1].content.clone()))
        .collect();
    match pairs.pop() {
        None => Err("the conversation has no question and no answer".to_owned()),
        Some((instruction, output)) => {
            Ok(Exchange { system, history: pairs, instruction, input: String::new(), output })
        }
    }
}

impl Exchange {
    pub(super) fn columns(&self) -> Columns {
        Columns { system: self.system.is_some(), history: !self.history.is_empty() }
    }

    pub(super) fn alpaca(self, sample: &Sample, columns: Columns) -> Value {
        let mut row = json!({
            "id": sample.id,
            "instruction": self.instruction,
            "input": self.input,
            "output": self.output,
        });
        if columns.system {
            row["system"] = json!(self.system.unwrap_or_default());
        }
        if columns.history {
            row["history"] = json!(self.history);
        }
        row
    }

    pub(super) fn share_gpt(self, sample: &Sample) -> Value {
        let mut turns = Vec::new();
        let mut say = |from: &str, value: String| turns.push(json!({"from": from, "value": value}));
        if let Some(system) = self.system {
            say("system", system);
        }
        for (question, answer) in self.history {
            say("human", question);
            say("gpt", answer);
        }
        say("human", user_turn(&self.instruction, &self.input));
        say("gpt", self.output);
        json!({ "id": sample.id, "conversations": turns })
    }
}
