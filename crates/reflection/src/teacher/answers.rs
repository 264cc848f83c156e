//! Answers on disk: what a line of the file holds, and the key under which an answer is found again.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tamis_artifact::Manifest;

use super::chat::{ChatRequest, Reply, Usage};
use super::no_reply::NoReply;

/// One answer. It says who was asked what, so that the file can be read without this program.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// [`key`]. It is written rather than computed from the rest when the file is read: an answer is found by
    /// what it was stored under, even if requests get a field more one day.
    pub(super) key: String,
    pub(super) teacher: Value,
    pub(super) request: ChatRequest,
    #[serde(flatten)]
    pub(super) said: Said,
}

/// What the teacher said, under the name `reply` or `no_reply`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    Reply(Reply),
    NoReply(NoReply),
}

impl Said {
    /// What of an outcome is worth keeping: replies, and what has none, will have none another time and
    /// was paid for all the same.
    pub(super) fn lasting(outcome: &Result<Reply, NoReply>) -> Option<Self> {
        match outcome {
            Ok(reply) => Some(Self::Reply(reply.clone())),
            Err(none) if !none.may_pass() && none.usage() != Usage::default() => {
                Some(Self::NoReply(none.clone()))
            }
            Err(_) => None,
        }
    }

    /// As something that was known before.
    pub(super) fn known(&self) -> Result<Reply, NoReply> {
        match self {
            Self::Reply(reply) => Ok(Reply { cached: true, ..reply.clone() }),
            Self::NoReply(none) => Err(none.clone()),
        }
    }

    /// Tokens that it took.
    pub(super) fn usage(&self) -> Usage {
        match self {
            Self::Reply(reply) => reply.usage,
            Self::NoReply(none) => none.usage(),
        }
    }
}

/// What the first line of every such file says. The teachers are in the records: one file may hold the
/// answers of several.
pub(super) fn manifest() -> Manifest {
    Manifest::new("teacher-answers", 1)
}

/// What an answer is stored under, a BLAKE3 hash in hexadecimal: everything that decides it, whatever order
/// the names are in.
pub(super) fn key(teacher: &Value, request: &ChatRequest) -> String {
    let mut all = json!({"teacher": teacher, "request": request});
    all.sort_all_objects();
    blake3::hash(all.to_string().as_bytes()).to_hex().to_string()
}
