//! What a failed attempt means: try again, give this request up, or stop asking.
//!
//! | what happened | what follows |
//! | --- | --- |
//! | timeout, connection ended | again |
//! | status 429, 408, 409, 425, 5xx | again, not before `Retry-After` |
//! | no JSON, another content type, missing fields | again: gateways send such pages in passing |
//! | a `Retry-After` beyond the longest wait | stop: it holds for all requests |
//! | nothing listens, unknown host | again, then stop |
//! | no safe connection (TLS) | stop |
//! | status 401, 403; 402 or a used-up quota; unknown model; no such page; a setting that is not taken | stop |
//! | empty, filtered, too large, prompt too long, any other 4xx | no reply: it would be the same again |

use std::io::ErrorKind;
use std::time::Duration;

use ureq::{Error, Timeout};

use super::address::Address;
use super::params::OpenAiParams;
use super::secret::Secret;
use super::wire::Complaint;
use crate::ReflectionError;
use crate::teacher::chat::Usage;
use crate::teacher::no_reply::NoReply;

/// So much of a server's text is repeated.
const SHOWN: usize = 300;

/// Fields of every request that do not depend on its text.
const SETTINGS: [&str; 6] =
    ["max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "stream"];

/// What a failed attempt means.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Another attempt may help, but not before this time.
    Again(Fault, Option<Duration>),
    /// This request has no reply.
    None(NoReply),
    /// No request will have one.
    Stop(ReflectionError),
}

/// Why an attempt failed that may be repeated.
#[derive(Debug)]
pub(super) enum Fault {
    Timeout,
    Disconnected(String),
    RateLimited(String),
    Server(u16, String),
    Malformed(String),
    Unreachable(String),
}

impl Fault {
    /// What the server or the system said.
    pub(super) fn words(self) -> String {
        match self {
            Self::Timeout => "no answer in time".to_owned(),
            Self::Disconnected(reason)
            | Self::RateLimited(reason)
            | Self::Server(_, reason)
            | Self::Malformed(reason)
            | Self::Unreachable(reason) => reason,
        }
    }

    /// What it is when it was the last attempt. A server that cannot be reached by any means
    /// concerns every request.
    pub(super) fn exhausted(
        self,
        attempts: u32,
        timeout: Duration,
        address: &Address,
    ) -> Result<NoReply, ReflectionError> {
        Ok(match self {
            Self::Timeout => {
                NoReply::Timeout { seconds: timeout.as_secs_f64().ceil() as u64, attempts }
            }
            Self::Disconnected(reason) => NoReply::Disconnected { reason, attempts },
            Self::RateLimited(reason) => NoReply::RateLimited { reason, attempts },
            Self::Server(status, reason) => NoReply::Server { status, reason, attempts },
            Self::Malformed(reason) => NoReply::Malformed { reason, attempts },
            Self::Unreachable(reason) => {
                let address = address.to_string();
                return Err(ReflectionError::Unreachable { address, reason, attempts });
            }
        })
    }
}

/// Judges failures of one server.
pub(super) struct Judge<'a> {
    pub(super) address: &'a Address,
    pub(super) params: &'a OpenAiParams,
    pub(super) key: Option<&'a Secret>,
    /// Number of the attempt, from 1.
    pub(super) attempts: u32,
}

impl Judge<'_> {
    /// A text of the server for people: without the key, without line breaks, not long.
    pub(super) fn show(&self, text: &str) -> String {
        let clean = self.key.map_or_else(|| text.to_owned(), |key| key.blot(text));
        let words: Vec<&str> = clean.split_whitespace().collect();
        let line = words.join(" ");
        match line.char_indices().nth(SHOWN) {
            Some((cut, _)) => format!("{}…", &line[..cut]),
            None if line.is_empty() => "no reason given".to_owned(),
            None => line,
        }
    }

    pub(super) fn malformed(&self, reason: &str) -> Verdict {
        Verdict::Again(Fault::Malformed(self.show(reason)), None)
    }

    pub(super) fn filtered(&self, reason: &str, usage: Usage) -> Verdict {
        let (reason, attempts) = (self.show(reason), self.attempts);
        Verdict::None(NoReply::Filtered { reason, usage, attempts })
    }

    /// A request that got no whole response.
    pub(super) fn transport(&self, error: &Error) -> Verdict {
        let reason = self.show(&error.to_string());
        let fault = match error {
            Error::Timeout(Timeout::Resolve | Timeout::Connect)
            | Error::HostNotFound
            | Error::ConnectionFailed
            | Error::ConnectProxyFailed(_) => Fault::Unreachable(reason),
            Error::Timeout(_) => Fault::Timeout,
            Error::Io(error) => match error.kind() {
                ErrorKind::TimedOut => Fault::Timeout,
                ErrorKind::ConnectionRefused
                | ErrorKind::NetworkUnreachable
                | ErrorKind::HostUnreachable
                | ErrorKind::AddrNotAvailable => Fault::Unreachable(reason),
                // How TLS reports what it cannot accept.
                ErrorKind::InvalidData => return self.unsafe_connection(reason),
                _ => Fault::Disconnected(reason),
            },
            Error::BodyExceedsLimit(_) => {
                let (limit, attempts) = (self.params.reply_bytes, self.attempts);
                return Verdict::None(NoReply::TooLarge { limit, attempts });
            }
            Error::Protocol(_) | Error::LargeResponseHeader(..) => Fault::Malformed(reason),
            _ => return self.unsafe_connection(reason),
        };
        Verdict::Again(fault, None)
    }

    /// A certificate that is not trusted, no TLS at all, a setting that cannot work: no attempt helps.
    fn unsafe_connection(&self, reason: String) -> Verdict {
        let (address, attempts) = (self.address.to_string(), self.attempts);
        Verdict::Stop(ReflectionError::Unreachable { address, reason, attempts })
    }

    /// A response with a status other than success, or one that a gateway put in a body.
    pub(super) fn status(
        &self,
        status: u16,
        complaint: &Complaint,
        retry_after: Option<Duration>,
    ) -> Verdict {
        let reason = self.show(&complaint.message);
        let address = self.address.to_string();
        let (code, words) = (complaint.code.to_lowercase(), complaint.message.to_lowercase());
        let attempts = self.attempts;
        let filtered = code.contains("content_filter")
            || code.contains("content_policy")
            || words.contains("moderation");
        match status {
            401 => Verdict::Stop(self.access(status, reason)),
            403 if !filtered => Verdict::Stop(self.access(status, reason)),
            402 => Verdict::Stop(ReflectionError::Credit { address, status, reason }),
            429 if code.contains("insufficient_quota") => {
                Verdict::Stop(ReflectionError::Credit { address, status, reason })
            }
            429 => Verdict::Again(Fault::RateLimited(reason), retry_after),
            408 | 409 | 425 | 500..=599 => {
                Verdict::Again(Fault::Server(status, reason), retry_after)
            }
            _ if filtered => {
                Verdict::None(NoReply::Filtered { reason, usage: Usage::default(), attempts })
            }
            413 => Verdict::None(NoReply::PromptTooLong { reason }),
            400 | 422 if is_too_long(&code, &words) => {
                Verdict::None(NoReply::PromptTooLong { reason })
            }
            400 | 404 | 422 if is_about_model(&code, &complaint.field, &words) => {
                let model = self.params.model.clone();
                Verdict::Stop(ReflectionError::NoModel { address, model, status, reason })
            }
            404 | 405 | 300..=399 => {
                Verdict::Stop(ReflectionError::NoChat { address, status, reason })
            }
            400 | 422
                if code.contains("unsupported_") || self.is_about_a_setting(&complaint.field) =>
            {
                let setting = match complaint.field.as_str() {
                    "" => "(not named)".to_owned(),
                    field => self.show(field),
                };
                Verdict::Stop(ReflectionError::Setting { address, setting, status, reason })
            }
            _ => Verdict::None(NoReply::Refused { status, reason, attempts }),
        }
    }

    /// Whether a field of the request is the same in all requests, or nearly so: anything but the text.
    fn is_about_a_setting(&self, field: &str) -> bool {
        // Of `stop[0]` and `response_format.type`, the first part.
        let name = field.split(['.', '[']).next().unwrap_or_default();
        SETTINGS.contains(&name) || self.params.extra.contains_key(name)
    }

    fn access(&self, status: u16, reason: String) -> ReflectionError {
        let advice = match self.key {
            Some(key) => format!(
                "check the key in the environment variable `{}` and what it is allowed",
                key.variable()
            ),
            None => "no key was sent: name the environment variable that holds one".to_owned(),
        };
        ReflectionError::Access { address: self.address.to_string(), status, reason, advice }
    }
}

fn is_too_long(code: &str, words: &str) -> bool {
    code.contains("context_length")
        || code.contains("exceed_context")
        || [
            "context length",
            "context window",
            "context size",
            "maximum context",
            "prompt is too long",
        ]
        .iter()
        .any(|sign| words.contains(sign))
}

fn is_about_model(code: &str, field: &str, words: &str) -> bool {
    let signs = [
        "not found",
        "not exist",
        "unknown model",
        "invalid model",
        "valid model",
        "no such model",
    ];
    field == "model"
        || code.contains("model_not_found")
        || (words.contains("model") && signs.iter().any(|sign| words.contains(sign)))
}
