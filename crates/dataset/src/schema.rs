//! From one row to its content: which fields must be there, and what they hold. JSON rows and Parquet columns are read by
//! the same description.

use serde_json::Value;

use crate::format::Format;
use crate::params::Fields;
use crate::sample::{Content, Message, SampleId};

/// How the fields of a row make up its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Schema {
    Messages,
    ShareGpt,
    Alpaca,
    Translation,
    Text,
}

/// What a field is to the content of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Messages,
    Conversations,
    Instruction,
    Input,
    Output,
    Source,
    Target,
    Text,
}

/// What is found in a field.
#[cfg(feature = "parquet")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holds {
    Text,
    Turns(Turns),
}

/// A list of turns: the keys of a turn, and the roles there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    pub(crate) role: &'static str,
    pub(crate) text: &'static str,
    known: fn(&str) -> Option<&str>,
}

const MESSAGES: Turns = Turns { role: "role", text: "content", known: |role| Some(role) };
const CONVERSATIONS: Turns = Turns { role: "from", text: "value", known: share_gpt_role };

impl Part {
    /// The name of the field.
    pub(crate) fn name(self, names: &Fields) -> &str {
        match self {
            Part::Messages => &names.messages,
            Part::Conversations => &names.conversations,
            Part::Instruction => &names.instruction,
            Part::Input => &names.input,
            Part::Output => &names.output,
            Part::Source => &names.source,
            Part::Target => &names.target,
            Part::Text => &names.text,
        }
    }

    #[cfg(feature = "parquet")]
    pub(crate) fn holds(self) -> Holds {
        match self {
            Part::Messages => Holds::Turns(MESSAGES),
            Part::Conversations => Holds::Turns(CONVERSATIONS),
            _ => Holds::Text,
        }
    }

    /// Whether no row may lack it.
    pub(crate) fn is_needed(self, names: &Fields) -> bool {
        match self {
            Part::Input => false,
            Part::Output | Part::Target => !names.optional_answer,
            _ => true,
        }
    }

    fn text(self, row: &Value, names: &Fields) -> Result<String, Fault> {
        let name = self.name(names);
        if self.is_needed(names) { required(row, name) } else { optional(row, name) }
    }
}

impl Schema {
    /// In the order in which they are looked for. Conversations come first: rows that carry both a conversation and a
    /// flattened copy of it are common, and the conversation says more.
    pub(crate) const ALL: [Schema; 5] =
        [Schema::Messages, Schema::ShareGpt, Schema::Alpaca, Schema::Translation, Schema::Text];

    /// The fields that make up the content.
    pub(crate) fn parts(self) -> &'static [Part] {
        match self {
            Schema::Messages => &[Part::Messages],
            Schema::ShareGpt => &[Part::Conversations],
            Schema::Alpaca => &[Part::Instruction, Part::Input, Part::Output],
            Schema::Translation => &[Part::Source, Part::Target],
            Schema::Text => &[Part::Text],
        }
    }

    /// The names of the fields that every row must have.
    pub(crate) fn needed(self, names: &Fields) -> Vec<&str> {
        let needed = self.parts().iter().filter(|part| part.is_needed(names));
        needed.map(|part| part.name(names)).collect()
    }

    /// The schema that a row with these fields must have, if any.
    pub(crate) fn detect(row: &Value, names: &Fields) -> Option<Schema> {
        Self::ALL.into_iter().find(|schema| schema.missing(row, names).is_empty())
    }

    /// The needed fields that this row does not have.
    pub(crate) fn missing<'a>(self, row: &Value, names: &'a Fields) -> Vec<&'a str> {
        let mut needed = self.needed(names);
        needed.retain(|name| lookup(row, name).is_none());
        needed
    }

    /// The schema that a format names, if it names one.
    pub(crate) fn of(format: Format) -> Option<Schema> {
        match format {
            Format::AlpacaJson | Format::AlpacaJsonl => Some(Schema::Alpaca),
            Format::Messages => Some(Schema::Messages),
            Format::ShareGpt => Some(Schema::ShareGpt),
            Format::TranslationJsonl => Some(Schema::Translation),
            Format::TextJsonl => Some(Schema::Text),
            Format::Tsv | Format::ParallelText | Format::Parquet => None,
        }
    }

    /// The format of such rows as JSON.
    pub(crate) fn json_format(self, array: bool) -> Format {
        match self {
            Schema::Alpaca if array => Format::AlpacaJson,
            Schema::Alpaca => Format::AlpacaJsonl,
            Schema::Messages => Format::Messages,
            Schema::ShareGpt => Format::ShareGpt,
            Schema::Translation => Format::TranslationJsonl,
            Schema::Text => Format::TextJsonl,
        }
    }

    fn content(self, row: &Value, names: &Fields) -> Result<Content, Fault> {
        let text = |part: Part| part.text(row, names);
        Ok(match self {
            Schema::Messages => Content::Chat { messages: turns(row, &names.messages, MESSAGES)? },
            Schema::ShareGpt => {
                Content::Chat { messages: turns(row, &names.conversations, CONVERSATIONS)? }
            }
            Schema::Alpaca => Content::Instruction {
                instruction: text(Part::Instruction)?,
                input: text(Part::Input)?,
                output: text(Part::Output)?,
            },
            Schema::Translation => {
                Content::Translation { source: text(Part::Source)?, target: text(Part::Target)? }
            }
            Schema::Text => Content::Instruction {
                instruction: String::new(),
                input: String::new(),
                output: text(Part::Text)?,
            },
        })
    }
}

/// What is wrong with a row, before it is known where the row lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) field: Option<String>,
    pub(crate) reason: String,
}

impl Fault {
    pub(crate) fn row(reason: impl Into<String>) -> Self {
        Fault { field: None, reason: reason.into() }
    }

    fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Fault { field: Some(field.into()), reason: reason.into() }
    }
}

/// What a row says: its own id, if it has one, and its content.
pub(crate) type Parsed = (Option<SampleId>, Content);

/// The bytes as text, or the place of the first byte that is not UTF-8. `offset` is where the row begins in the file.
pub(crate) fn text(bytes: &[u8], offset: u64) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let within = error.valid_up_to();
        Fault::row(format!(
            "byte {} of the file (byte {within} of the row, 0x{:02X}) is not valid UTF-8; the file must be UTF-8",
            offset + within as u64,
            bytes[within],
        ))
    })
}

/// A JSON row.
pub(crate) fn parse_json(
    bytes: &[u8],
    offset: u64,
    schema: Schema,
    fields: &Fields,
) -> Result<Parsed, Fault> {
    parse_value(&json(bytes, offset)?, schema, fields)
}

/// The bytes as JSON of any kind.
pub(crate) fn json(bytes: &[u8], offset: u64) -> Result<Value, Fault> {
    serde_json::from_str(text(bytes, offset)?).map_err(|error| {
        // The parser sees the row alone, so its line means nothing where rows are lines.
        let what = error.to_string();
        let what = what.split(" at line ").next().unwrap_or_default();
        let place = match (error.line(), error.column()) {
            (0 | 1, column) => format!("column {column}"),
            (line, column) => format!("line {line} of the row, column {column}"),
        };
        Fault::row(format!("not valid JSON: {what} ({place})"))
    })
}

pub(crate) fn not_an_object(row: &Value) -> Fault {
    Fault::row(format!("expected an object, found {}", kind(row)))
}

/// A row that is already a JSON value.
pub(crate) fn parse_value(row: &Value, schema: Schema, fields: &Fields) -> Result<Parsed, Fault> {
    if !row.is_object() {
        return Err(not_an_object(row));
    }
    let id = parse_id(row, &fields.id)?;
    let content = schema.content(row, fields)?;
    Ok((id, content))
}

/// A row of a TSV file: source, tab, target.
pub(crate) fn parse_tsv(bytes: &[u8], offset: u64) -> Result<Parsed, Fault> {
    let line = text(bytes, offset)?;
    let columns: Vec<&str> = line.split('\t').collect();
    match columns[..] {
        [source, target] => Ok((
            None,
            Content::Translation { source: source.to_owned(), target: target.to_owned() },
        )),
        _ => Err(Fault::row(format!(
            "found {} tab-separated columns, expected 2: source and target",
            columns.len()
        ))),
    }
}

/// The value of a field: the field of exactly this name, else, if the name has dots, the end of that path.
pub(crate) fn lookup<'a>(row: &'a Value, field: &str) -> Option<&'a Value> {
    if let Some(value) = row.get(field) {
        return Some(value);
    }
    let (head, rest) = field.split_once('.')?;
    lookup(row.get(head)?, rest)
}

/// The keys of a row, for messages.
pub(crate) fn keys(row: &Value) -> String {
    match row.as_object() {
        Some(object) if object.is_empty() => "no keys".to_owned(),
        Some(object) => {
            let keys: Vec<&str> = object.keys().map(String::as_str).collect();
            format!("the keys {}", keys.join(", "))
        }
        None => kind(row).to_owned(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn required(row: &Value, field: &str) -> Result<String, Fault> {
    match lookup(row, field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => {
            Err(Fault::field(field, format!("expected a string, found {}", kind(other))))
        }
        None => Err(missing(row, field)),
    }
}

/// A field that may be missing or null, which is the same as empty.
fn optional(row: &Value, field: &str) -> Result<String, Fault> {
    match lookup(row, field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(_) => required(row, field),
    }
}

fn missing(row: &Value, field: &str) -> Fault {
    Fault::field(field, format!("missing; this row has {}", keys(row)))
}

fn parse_id(row: &Value, field: &str) -> Result<Option<SampleId>, Fault> {
    match lookup(row, field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if id.is_empty() => {
            Err(Fault::field(field, "an empty id; give one, or leave the field out"))
        }
        Some(Value::String(id)) => Ok(Some(SampleId::from(id.as_str()))),
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => {
            Ok(Some(SampleId::from(id.to_string())))
        }
        Some(other) => Err(Fault::field(
            field,
            format!("an id is a string or an integer, found {}", kind(other)),
        )),
    }
}

/// A list of turns.
fn turns(row: &Value, field: &str, form: Turns) -> Result<Vec<Message>, Fault> {
    let list = match lookup(row, field) {
        Some(Value::Array(list)) if list.is_empty() => {
            return Err(Fault::field(field, "the list of turns is empty"));
        }
        Some(Value::Array(list)) => list,
        Some(other) => {
            let reason = format!("expected a list of turns, found {}", kind(other));
            return Err(Fault::field(field, reason));
        }
        None => return Err(missing(row, field)),
    };
    list.iter()
        .enumerate()
        .map(|(i, turn)| {
            let part = |key: &str| match turn.get(key) {
                Some(Value::String(text)) => Ok(text.as_str()),
                Some(other) => Err(Fault::field(
                    format!("{field}[{i}].{key}"),
                    format!("expected a string, found {}", kind(other)),
                )),
                None => Err(Fault::field(
                    format!("{field}[{i}].{key}"),
                    format!("missing; this turn has {}", keys(turn)),
                )),
            };
            let role = part(form.role)?;
            let role = (form.known)(role).ok_or_else(|| {
                Fault::field(
                    format!("{field}[{i}].{}", form.role),
                    format!("`{role}` is not known; expected human, gpt or system"),
                )
            })?;
            Ok(Message::new(role, part(form.text)?))
        })
        .collect()
}

/// `ShareGPT` calls the speakers `human` and `gpt`; files that already use the chat names are read too.
fn share_gpt_role(from: &str) -> Option<&str> {
    match from {
        "human" | "user" => Some("user"),
        "gpt" | "assistant" => Some("assistant"),
        "system" => Some("system"),
        _ => None,
    }
}
