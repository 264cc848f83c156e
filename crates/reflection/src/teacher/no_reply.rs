//! The ways in which there is no reply.

use serde::{Deserialize, Serialize};

use super::chat::{Finish, Usage};

/// Why a request has no reply although it was tried as often as allowed.
///
/// `reason` is the server's or the system's own words, shortened and without the key; `attempts` is how
/// often the request was sent, the last time included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoReply {
    /// No answer in time.
    #[error("no answer within {seconds} s, {attempts} attempts")]
    Timeout {
        /// The limit, rounded up.
        seconds: u64,
        /// How often it was tried.
        attempts: u32,
    },

    /// The connection ended before the reply did.
    #[error("the connection ended before the reply did ({reason}), {attempts} attempts")]
    Disconnected {
        /// What the system said.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },

    /// The server had too much to do for us each time (status 429).
    #[error("too many requests ({reason}), {attempts} attempts")]
    RateLimited {
        /// What the server said.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },

    /// The server failed each time (status 5xx and the like).
    #[error("the server failed with status {status} ({reason}), {attempts} attempts")]
    Server {
        /// The last HTTP status.
        status: u16,
        /// What the server said.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },

    /// The server does not want this request (another status 4xx).
    #[error("the server refused the request with status {status}: {reason}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the server said.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },

    /// What came is no chat completion: another content type, JSON that is cut, a field that is not
    /// there.
    #[error("what came is no reply ({reason}), {attempts} attempts")]
    Malformed {
        /// What is wrong with it.
        reason: String,
        /// How often it was tried.
        attempts: u32,
    },

    /// The reply is larger than allowed.
    #[error("the reply has more than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
        /// How often it was tried.
        attempts: u32,
    },

    /// The teacher answered with nothing, or with white space.
    #[error("the reply is empty (finish: {finish:?})")]
    Empty {
        /// How it ended; [`Length`](Finish::Length) if all tokens went into something else than text.
        finish: Finish,
        /// What it took all the same.
        usage: Usage,
        /// How often it was tried.
        attempts: u32,
    },

    /// A filter of the server kept the reply back or cut it, or the model declined in the field that
    /// is made for it.
    #[error("the reply was kept back: {reason}")]
    Filtered {
        /// What the server said.
        reason: String,
        /// What it took all the same.
        usage: Usage,
        /// How often it was tried.
        attempts: u32,
    },

    /// The request is longer than the model can read.
    #[error("the request is too long for the model: {reason}")]
    PromptTooLong {
        /// By how much, as far as known.
        reason: String,
    },

    /// The recording has no answer to this request.
    #[error("the recording has no answer to this request")]
    NotRecorded,
}

impl NoReply {
    /// Whether the same request may well be answered at another time, or by the teacher that a recording
    /// repeats. Where it may, pipeline and judge do not take it for the last word: run again, they ask again.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Disconnected { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Malformed { .. }
            | Self::NotRecorded => true,
            Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::Empty { .. }
            | Self::Filtered { .. }
            | Self::PromptTooLong { .. } => false,
        }
    }

    /// Whether it is about the text of the request, so that it says nothing of others.
    pub(super) fn is_about_the_text(&self) -> bool {
        matches!(self, Self::PromptTooLong { .. } | Self::Filtered { .. })
    }

    /// Tokens that were taken without giving a reply, as far as they are known.
    pub fn usage(&self) -> Usage {
        match self {
            Self::Empty { usage, .. } | Self::Filtered { usage, .. } => *usage,
            _ => Usage::default(),
        }
    }
}
