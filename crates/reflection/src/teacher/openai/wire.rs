//! The chat completions format: bodies of requests, of replies and of errors.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::params::{LengthField, OpenAiParams};
use crate::teacher::chat::{ChatRequest, Finish, Usage};

/// The body of a request.
pub(super) fn body(params: &OpenAiParams, request: &ChatRequest) -> Value {
    let turns = request.messages.iter();
    let turns: Vec<Value> =
        turns.map(|turn| json!({"role": turn.role, "content": turn.content})).collect();
    let length = match params.length_field {
        LengthField::MaxTokens => "max_tokens",
        LengthField::MaxCompletionTokens => "max_completion_tokens",
    };
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(params.model));
    body.insert("messages".to_owned(), json!(turns));
    body.insert(length.to_owned(), json!(request.max_tokens));
    body.insert("temperature".to_owned(), json!(request.temperature));
    body.insert("top_p".to_owned(), json!(request.top_p));
    if let Some(seed) = request.seed {
        body.insert("seed".to_owned(), json!(seed));
    }
    body.insert("stream".to_owned(), json!(false));
    for (name, value) in &params.extra {
        if value.is_null() {
            body.remove(name);
        } else {
            body.insert(name.clone(), value.clone());
        }
    }
    Value::Object(body)
}

/// A body that came with success.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// A reply; its text may be empty.
    Text { text: String, finish: Finish, usage: Usage },
    /// Kept back by a filter, or declined.
    Filtered { reason: String, usage: Usage },
    /// Some gateways report errors so, whatever the status.
    Error(Complaint),
}

/// What a server says in a body that is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    /// For people.
    pub(super) message: String,
    /// For programs: `context_length_exceeded`, `insufficient_quota`, …; codes and types together.
    pub(super) code: String,
    /// The field of the request that it is about.
    pub(super) field: String,
    /// The status that a gateway got itself.
    pub(super) status: Option<u16>,
}

#[derive(Deserialize)]
struct Completion {
    choices: Option<Vec<Choice>>,
    /// Whatever it is: no reply is lost over a number that only counts.
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Turn>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Turn {
    content: Option<TurnContent>,
    refusal: Option<String>,
}

/// Text, or a list of pieces as the newer servers may send it.
#[derive(Deserialize)]
#[serde(untagged)]
enum TurnContent {
    Text(String),
    Pieces(Vec<Piece>),
}

#[derive(Deserialize)]
struct Piece {
    text: Option<String>,
}

/// The tokens that a field `usage` speaks of, 0 where it does not.
fn tokens(usage: &Value) -> Usage {
    let count = |name: &str| match usage.get(name) {
        // Some servers count in floating point, some in text; beyond its range, a cast ends at 0 or at the top.
        Some(Value::Number(count)) => {
            count.as_u64().unwrap_or_else(|| count.as_f64().unwrap_or(0.0) as u64)
        }
        Some(Value::String(count)) => count.trim().parse().unwrap_or(0),
        _ => 0,
    };
    Usage { prompt_tokens: count("prompt_tokens"), completion_tokens: count("completion_tokens") }
}

/// Reads the body of a success; the error says what it lacks.
pub(super) fn read(bytes: &[u8]) -> Result<Said, String> {
    let completion: Completion =
        serde_json::from_slice(bytes).map_err(|error| format!("not a chat completion: {error}"))?;
    if let Some(error) = completion.error.filter(|error| !error.is_null()) {
        return Ok(Said::Error(Complaint::of(&json!({"error": error}))));
    }
    let usage = completion.usage.as_ref().map_or(Usage::default(), tokens);
    let choices = completion.choices.ok_or("there is no field `choices`")?;
    let choice = choices.into_iter().next().ok_or("`choices` is empty")?;
    let message = choice.message.ok_or("there is no field `choices[0].message`")?;
    let finish = match choice.finish_reason.as_deref() {
        Some("stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence") => Finish::Stop,
        Some("length" | "max_tokens") => Finish::Length,
        Some("content_filter") => {
            let reason =
                message.refusal.unwrap_or_else(|| "finish reason content_filter".to_owned());
            return Ok(Said::Filtered { reason, usage });
        }
        Some(other) => Finish::Other(other.to_owned()),
        None => Finish::Other("not said".to_owned()),
    };
    let text = match message.content {
        None => String::new(),
        Some(TurnContent::Text(text)) => text,
        Some(TurnContent::Pieces(pieces)) => {
            pieces.into_iter().filter_map(|piece| piece.text).collect()
        }
    };
    match message.refusal {
        Some(reason) if text.trim().is_empty() && !reason.is_empty() => {
            Ok(Said::Filtered { reason, usage })
        }
        _ => Ok(Said::Text { text, finish, usage }),
    }
}

impl Complaint {
    /// Reads the body of a failure, whatever it is.
    pub(super) fn read(bytes: &[u8]) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(value) => Self::of(&value),
            Err(_) => Self {
                message: String::from_utf8_lossy(bytes).trim().to_owned(),
                ..Self::default()
            },
        }
    }

    /// Servers agree on `error.message` at most: some leave the `error` around it out, some have a
    /// `detail`, some make `error` itself the text.
    fn of(body: &Value) -> Self {
        let error = body.get("error").unwrap_or(body);
        let text = |name: &str| match error.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        };
        let message = match error {
            Value::String(message) => message.clone(),
            _ => text("message").or_else(|| text("detail")).unwrap_or_else(|| body.to_string()),
        };
        let codes: Vec<String> = ["code", "type"].into_iter().filter_map(text).collect();
        let status = error.get("code").and_then(Value::as_u64);
        Self {
            message,
            code: codes.join(" "),
            field: text("param").or_else(|| faulty_field(error)).unwrap_or_default(),
            status: status.and_then(|status| u16::try_from(status).ok()),
        }
    }
}

/// The field of the body that `{"detail": [{"loc": ["body", "temperature"], …}]}` is about: how servers made
/// with `FastAPI` complain.
fn faulty_field(error: &Value) -> Option<String> {
    let place = error.get("detail")?.get(0)?.get("loc")?;
    place.get(1)?.as_str().map(str::to_owned)
}
