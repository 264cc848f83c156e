//! Answers on disk: what a line of the file holds, and the key under which an answer is found again.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tamis_artifact::Manifest;

use super::chat::{ChatRequest, Reply};

/// One answer. It says who was asked what, so that the file can be read without this program.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Answer {
    /// [`key`]. It is written rather than computed from the rest when the file is read:
    /// a number may come back from JSON with another last bit.
    pub(super) key: String,
    pub(super) teacher: Value,
    pub(super) request: ChatRequest,
    pub(super) reply: Reply,
}

/// What the first line of every such file says. The teachers are in the records: one file may hold the
/// answers of several.
pub(super) fn manifest() -> Manifest {
    Manifest::new("teacher-answers", 1)
}

/// What an answer is stored under, a BLAKE3 hash in hexadecimal: everything that decides it, whatever order the names are in.
pub(super) fn key(teacher: &Value, request: &ChatRequest) -> String {
    let mut all = json!({"teacher": teacher, "request": request});
    all.sort_all_objects();
    blake3::hash(all.to_string().as_bytes()).to_hex().to_string()
}
