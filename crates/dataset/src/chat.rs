//! A tokenizer's own chat template, rendered as its Python users render it.

use std::fmt;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value, context};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use crate::answers::Answers;
use crate::rendered::Rendered;
use crate::sample::Message;

/// The name under which the one template of an environment is kept.
const NAME: &str = "chat";

/// The date that templates see: a rendering that depends on the day would make two runs differ. It is the one that the
/// templates which ask for a date fall back to where there is no clock.
const YEAR_MONTH_DAY: (u32, usize, u32) = (2024, 7, 26);
const WEEKDAY: &str = "Friday";
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A compiled chat template.
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    /// All special tokens of the tokenizer, as text.
    special_tokens: Vec<String>,
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// Compiles `source`; `named_tokens` are the variables it may use, such as `bos_token`.
    pub(crate) fn compile(
        source: &str,
        named_tokens: &[(String, String)],
        special_tokens: Vec<String>,
    ) -> Result<Self, String> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|error| describe(&error))?;
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        for (name, token) in named_tokens {
            environment.add_global(name.clone(), token.clone());
        }
        environment
            .add_template_owned(NAME, without_generation_tags(source))
            .map_err(|error| describe(&error))?;
        Ok(ChatTemplate { environment, special_tokens })
    }

    fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, String> {
        let turn = |turn: &Message| {
            Value::from_pairs([("role", turn.role.as_str()), ("content", turn.content.as_str())])
        };
        let turns: Vec<Value> = messages.iter().map(turn).collect();
        self.environment
            .get_template(NAME)
            .and_then(|template| {
                template.render(context! {
                    messages => turns,
                    add_generation_prompt,
                    tools => Value::from(()),
                    documents => Value::from(()),
                })
            })
            .map_err(|error| describe(&error))
    }

    /// Renders a conversation. Of each assistant turn that is learned which the model would have to write: what lies
    /// between the rendering of the turns before it with the cue to answer, and the rendering that includes it.
    ///
    /// The answers before those that `answers` asks for are not looked for: a template may write them as it likes.
    ///
    /// Both must be beginnings of the whole rendering. A template that rewrites earlier turns (some drop earlier
    /// reasoning) has no such places, which is an error rather than a guess.
    pub(crate) fn conversation(
        &self,
        messages: &[Message],
        answers: Answers,
    ) -> Result<Rendered, String> {
        let text = self.render(messages, false)?;
        let mut targets = Vec::new();
        for (i, turn) in messages.iter().enumerate().skip(answers.first(messages)) {
            if !turn.is_assistant() || turn.content.trim().is_empty() {
                continue;
            }
            let before = self.render(&messages[..i], true)?;
            let after = self.render(&messages[..=i], false)?;
            let turn = format!("turn {} ({})", i + 1, turn.role);
            if !text.starts_with(&before) {
                return Err(format!(
                    "the chat template writes the turns before {turn} differently once the answer is there, so the \
                     answer's place in the text is unknown"
                ));
            }
            if !text.starts_with(&after) {
                return Err(format!(
                    "the chat template writes {turn} differently once later turns follow, so its place in the text is \
                     unknown"
                ));
            }
            if before.len() >= after.len() {
                return Err(format!("the chat template writes nothing for {turn}"));
            }
            targets.push(self.without_trailing_space(&text, before.len()..after.len()));
        }
        Ok(Rendered { text, targets })
    }

    /// Renders a conversation with the cue to answer at its end.
    pub(crate) fn cue(&self, messages: &[Message]) -> Result<String, String> {
        self.render(messages, true)
    }

    /// Whitespace after an end marker only separates the turns: a model stops at the marker and never writes it.
    fn without_trailing_space(&self, text: &str, range: Range<usize>) -> Range<usize> {
        let solid = text[range.clone()].trim_end();
        let ends_with_marker =
            self.special_tokens.iter().any(|token| solid.ends_with(token.as_str()));
        if ends_with_marker { range.start..range.start + solid.len() } else { range }
    }
}

/// The message of a template error with the detail underneath it.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    format!("the chat template failed: {text}")
}

fn raise_exception(message: &str) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()))
}

fn strftime_now(format: &str) -> Result<String, Error> {
    let (year, month, day) = YEAR_MONTH_DAY;
    let month_name = MONTHS[month - 1];
    let mut text = String::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let piece = match letters.next() {
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year % 100),
            Some('m') => format!("{month:02}"),
            Some('d') => format!("{day:02}"),
            Some('B') => month_name.to_owned(),
            Some('b') => month_name[..3].to_owned(),
            Some('A') => WEEKDAY.to_owned(),
            Some('a') => WEEKDAY[..3].to_owned(),
            Some('H' | 'M' | 'S') => "00".to_owned(),
            Some('%') => "%".to_owned(),
            other => {
                let found = other.map_or(String::new(), String::from);
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now: `%{found}` is not supported"),
                ));
            }
        };
        text.push_str(&piece);
    }
    Ok(text)
}

/// JSON with the separators of Python's `json.dumps` and nothing escaped for HTML.
#[allow(clippy::needless_pass_by_value)] // the signature that a filter must have
fn to_json(value: &Value, indent: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get("indent")?,
    };
    let mut json = Vec::new();
    let written = match indent {
        Some(width) => {
            let spaces = " ".repeat(width);
            let formatter = PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut json, formatter))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut json, PythonSeparators)),
    };
    let failed = |error: String| Error::new(ErrorKind::BadSerialization, error);
    written.map_err(|error| failed(error.to_string()))?;
    String::from_utf8(json).map_err(|error| failed(error.to_string()))
}

/// `", "` between elements and `": "` after keys.
struct PythonSeparators;

impl PythonSeparators {
    fn separate<W: ?Sized + std::io::Write>(writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }
}

impl Formatter for PythonSeparators {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        Self::separate(writer, first)
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        Self::separate(writer, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Templates may mark answers with `{% generation %}` … `{% endgeneration %}`, a tag that is not part of the language.
/// It is replaced by a condition that always holds, which keeps the tag's control of whitespace.
fn without_generation_tags(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else {
            break;
        };
        let inside = &rest[start + 2..start + length];
        let word = inside.trim_matches(|c: char| c.is_whitespace() || c == '-' || c == '+');
        let replacement = match word {
            "generation" => Some("if true"),
            "endgeneration" => Some("endif"),
            _ => None,
        };
        text.push_str(&rest[..start + 2]);
        match replacement {
            Some(new) => text.push_str(&inside.replace(word, new)),
            None => text.push_str(inside),
        }
        text.push_str("%}");
        rest = &rest[start + length + 2..];
    }
    text.push_str(rest);
    text
}
