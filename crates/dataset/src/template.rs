//! Templates: how a sample becomes one text, and which parts of it are to be learned.

use serde::{Deserialize, Serialize};

use crate::answers::Answers;
use crate::chat::ChatTemplate;
use crate::error::DatasetError;
use crate::rendered::{Draft, Rendered};
use crate::sample::{Content, Message};

/// The shape that text takes around instruction and answer.
///
/// | template | text; the part in `[ ]` is learned |
/// | --- | --- |
/// | `Alpaca` | the form published with the Alpaca data, with and without an input: `… ### Response:[output]` |
/// | `Vicuna` | the v1.1 form: `<system line> USER: <user> ASSISTANT:[ <answer>]`, earlier answers closed by the EOS token |
/// | `None` | `<instruction>\n` and `<input>\n` if there are any, `[output]` |
/// | `Translation` | `Translate the following text into <language>…`, the quoted source, an empty line, `[target]` |
/// | `Chat` | the tokenizer's own chat template, `[each assistant turn with its end marker]` |
///
/// What each makes of the other kinds of content: a translation row is an instruction to translate with the source as
/// its input; under `Chat` instruction and input are one user turn, separated by an empty line. Conversations of one
/// question and one answer fit everywhere but `Translation`, longer ones `Vicuna` and `Chat`. A row of plain text
/// ([`Format::TextJsonl`](crate::Format::TextJsonl)) is an answer to nothing: under `None` it is learned as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// Stanford Alpaca's form.
    Alpaca,
    /// Vicuna v1.1's form.
    Vicuna,
    /// No words added.
    None,
    /// A translation prompt.
    Translation {
        /// The language to translate into, by its English name, e.g. `English`.
        target_language: String,
    },
    /// The tokenizer's own chat template.
    Chat,
}

/// What rendering needs to know besides the sample.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Surroundings<'a> {
    /// The language of translations, for templates that do not carry it.
    pub(crate) target_language: Option<&'a str>,
    /// The end-of-sequence token as text.
    pub(crate) eos: Option<&'a str>,
    pub(crate) chat: Option<&'a ChatTemplate>,
    /// Which answers are learned.
    pub(crate) answers: Answers,
}

const ALPACA_WITH_INPUT: &str = "Below is an instruction that describes a task, paired with an input that provides \
    further context. Write a response that appropriately completes the request.\n\n";
const ALPACA_NO_INPUT: &str = "Below is an instruction that describes a task. Write a response that appropriately \
    completes the request.\n\n";
const VICUNA_SYSTEM: &str = "A chat between a curious user and an artificial intelligence assistant. The assistant \
    gives helpful, detailed, and polite answers to the user's questions.";

impl Template {
    /// The template of this name (`alpaca`, `vicuna`, `none`, `translation`, `chat`).
    ///
    /// # Errors
    /// [`DatasetError::Template`] for another name, and for `translation` without a target language.
    pub fn parse(name: &str, target_language: Option<&str>) -> Result<Template, DatasetError> {
        match (name, target_language) {
            ("alpaca", _) => Ok(Template::Alpaca),
            ("vicuna", _) => Ok(Template::Vicuna),
            ("none", _) => Ok(Template::None),
            ("chat", _) => Ok(Template::Chat),
            ("translation", Some(language)) => {
                Ok(Template::Translation { target_language: language.to_owned() })
            }
            ("translation", None) => Err(DatasetError::Template(
                "`translation` needs a target language, such as English".to_owned(),
            )),
            _ => Err(DatasetError::Template(format!(
                "`{name}` is not known; expected alpaca, vicuna, none, translation or chat"
            ))),
        }
    }

    /// The name that [`Template::parse`] knows it by.
    pub fn name(&self) -> &'static str {
        match self {
            Template::Alpaca => "alpaca",
            Template::Vicuna => "vicuna",
            Template::None => "none",
            Template::Translation { .. } => "translation",
            Template::Chat => "chat",
        }
    }

    /// The text of a sample, or why it does not fit.
    pub(crate) fn render(
        &self,
        content: &Content,
        around: Surroundings<'_>,
    ) -> Result<Rendered, String> {
        let language = around.target_language;
        match self {
            Template::Alpaca => single_turn(content, language).map(|turn| alpaca(&turn)),
            Template::None => single_turn(content, language).map(|turn| bare(&turn)),
            Template::Translation { target_language } => translation(content, target_language),
            Template::Vicuna => {
                conversation(content, language).and_then(|turns| vicuna(&turns, around))
            }
            Template::Chat => conversation(content, language).and_then(|turns| match around.chat {
                Some(template) => template.conversation(&turns, around.answers),
                None => Err("the tokenizer has no chat template".to_owned()),
            }),
        }
    }
}

/// An instruction, its input (maybe empty) and the answer.
pub(crate) struct SingleTurn {
    pub(crate) instruction: String,
    pub(crate) input: String,
    pub(crate) output: String,
}

pub(crate) fn single_turn(content: &Content, language: Option<&str>) -> Result<SingleTurn, String> {
    match content {
        Content::Instruction { instruction, input, output } => Ok(SingleTurn {
            instruction: instruction.clone(),
            input: input.clone(),
            output: output.clone(),
        }),
        Content::Translation { source, target } => Ok(SingleTurn {
            instruction: format!("Translate the following text into {}.", needed(language)?),
            input: source.clone(),
            output: target.clone(),
        }),
        Content::Chat { messages } => match messages.as_slice() {
            [user, assistant] if user.role == "user" && assistant.is_assistant() => {
                Ok(SingleTurn {
                    instruction: user.content.clone(),
                    input: String::new(),
                    output: assistant.content.clone(),
                })
            }
            _ => {
                let roles: Vec<&str> = messages.iter().map(|m| m.role.as_str()).collect();
                Err(format!(
                    "it holds one question and one answer, but the conversation has the turns {}; use vicuna or chat",
                    roles.join(", ")
                ))
            }
        },
    }
}

/// Any content as a conversation.
pub(crate) fn conversation(
    content: &Content,
    language: Option<&str>,
) -> Result<Vec<Message>, String> {
    let exchange = |user: String, assistant: &str| {
        vec![Message::new("user", user), Message::new("assistant", assistant)]
    };
    match content {
        Content::Chat { messages } => Ok(messages.clone()),
        Content::Instruction { instruction, input, output } => {
            Ok(exchange(user_turn(instruction, input), output))
        }
        Content::Translation { source, target } => {
            let mut prompt = translation_prompt(source, needed(language)?);
            prompt.truncate(prompt.trim_end().len());
            Ok(exchange(prompt, target))
        }
    }
}

pub(crate) fn user_turn(instruction: &str, input: &str) -> String {
    if input.is_empty() { instruction.to_owned() } else { format!("{instruction}\n\n{input}") }
}

fn needed(language: Option<&str>) -> Result<&str, String> {
    language.ok_or_else(|| {
        "a translation row needs the name of the target language; set `EncodeOptions::target_language`".to_owned()
    })
}

fn alpaca(turn: &SingleTurn) -> Rendered {
    let draft = Draft::default();
    let draft = if turn.input.is_empty() {
        draft.given(ALPACA_NO_INPUT).given("### Instruction:\n").given(&turn.instruction)
    } else {
        draft
            .given(ALPACA_WITH_INPUT)
            .given("### Instruction:\n")
            .given(&turn.instruction)
            .given("\n\n### Input:\n")
            .given(&turn.input)
    };
    draft.given("\n\n### Response:").learned(&[&turn.output]).done()
}

fn bare(turn: &SingleTurn) -> Rendered {
    // A plain text has neither, and no line of its own before it.
    let mut draft = Draft::default();
    for part in [&turn.instruction, &turn.input] {
        if !part.is_empty() {
            draft = draft.given(part).given("\n");
        }
    }
    draft.learned(&[&turn.output]).done()
}

fn translation(content: &Content, language: &str) -> Result<Rendered, String> {
    match content {
        Content::Translation { source, target } => Ok(Draft::default()
            .given(&translation_prompt(source, language))
            .learned(&[target])
            .done()),
        other => Err(format!(
            "it takes rows of a source and its translation, this is {} content; use alpaca, vicuna, none or chat",
            other.kind()
        )),
    }
}

fn translation_prompt(source: &str, language: &str) -> String {
    format!("Translate the following text into {language}\n\nText:\n\"{source}\"\n\n")
}

/// The separating space belongs to the answer: it is what the model writes first after `ASSISTANT:`, and most tokenizers
/// make it part of the answer's first token.
fn vicuna(turns: &[Message], around: Surroundings<'_>) -> Result<Rendered, String> {
    let eos = around.eos;
    let (system, turns) = match turns {
        [first, rest @ ..] if first.role == "system" => (first.content.as_str(), rest),
        all => (VICUNA_SYSTEM, all),
    };
    let first = around.answers.first(turns);
    let mut draft = Draft::default().given(system).given(" ");
    for (i, turn) in turns.iter().enumerate() {
        let last = i + 1 == turns.len();
        draft = match turn.role.as_str() {
            "user" => {
                let draft = draft.given("USER: ").given(&turn.content);
                if last { draft } else { draft.given(" ") }
            }
            "assistant" => {
                let draft = draft.given("ASSISTANT:");
                // The last answer is closed by the encoder, if at all.
                let end = if last { "" } else { eos.unwrap_or_default() };
                let draft = if i < first || turn.content.trim().is_empty() {
                    draft.given(" ").given(&turn.content).given(end)
                } else {
                    draft.learned(&[" ", &turn.content, end])
                };
                if last || eos.is_some() { draft } else { draft.given(" ") }
            }
            other => {
                return Err(format!(
                    "a turn of role `{other}` after the first has no place in it; use chat"
                ));
            }
        };
    }
    Ok(draft.done())
}
