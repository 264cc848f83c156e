//! Settings of the client.

use std::time::Duration;

use serde_json::{Map, Value};
use tamis_artifact::ParameterError;

use super::OpenAiTeacher;
use super::secret::KeySource;
use crate::ReflectionError;

/// Fields of the request body that are not for the user to set.
const OWN_FIELDS: [&str; 6] =
    ["model", "messages", "stream", "n", "max_tokens", "max_completion_tokens"];
/// Threads, and so open connections, that are still sane.
const MOST_AT_ONCE: usize = 1024;

/// What a server calls the longest length of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LengthField {
    /// `max_tokens`, which nearly all servers understand.
    #[default]
    MaxTokens,
    /// `max_completion_tokens`, which newer models of `OpenAI` want instead.
    MaxCompletionTokens,
}

/// How to reach a server; [`check`](Self::check) turns it into an [`OpenAiTeacher`].
#[derive(Clone, Debug, PartialEq)]
pub struct OpenAiParams {
    /// Everything before `/chat/completions`. Default `https://api.openai.com/v1`.
    pub base_url: String,
    /// The model, as the server calls it. No default.
    pub model: String,
    /// Where the key comes from.
    pub key: KeySource,
    /// A name for the server that stands in caches and manifests instead of its address. Give one to
    /// a server whose address changes while its answers do not.
    pub label: Option<String>,
    /// What the server calls the longest length.
    pub length_field: LengthField,
    /// More fields for the body of each request. `null` leaves out one that the server does not take:
    /// `temperature`, `top_p` or `seed`. They are part of the identity: no secrets here.
    pub extra: Map<String, Value>,
    /// Requests under way at a time, at least 1. Default 8.
    pub concurrency: usize,
    /// Most requests in a minute, retries included; they are sent at even distances. Default no limit.
    pub requests_per_minute: Option<f64>,
    /// Longest time to make a connection. Default 10 s.
    pub connect_timeout: Duration,
    /// Longest time for one attempt from its first byte to its last. Default 10 min.
    pub timeout: Duration,
    /// How often a request is sent at most, at least 1. Default 6.
    pub attempts: u32,
    /// Wait after the first failed attempt; it doubles with each further one, see
    /// [`backoff`](super::backoff). Default 1 s.
    pub backoff: Duration,
    /// Longest wait before the next attempt: the doubling ends here, and a `Retry-After` beyond it ends
    /// the asking with [`ReflectionError::ComeBackLater`]. Default 2 min.
    pub longest_wait: Duration,
    /// So many requests in a row without a reply end the asking with [`ReflectionError::NoReplies`], at
    /// least 1: a server that answers nobody is not asked for the rest. Those whose text is too long or was
    /// filtered do not count. Default 20.
    pub failures: u32,
    /// Largest body of a reply in bytes. Default 16 MiB.
    pub reply_bytes: u64,
}

impl Default for OpenAiParams {
    fn default() -> Self {
        Self {
            base_url: "https://api.openai.com/v1".to_owned(),
            model: String::new(),
            key: KeySource::Default,
            label: None,
            length_field: LengthField::MaxTokens,
            extra: Map::new(),
            concurrency: 8,
            requests_per_minute: None,
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(600),
            attempts: 6,
            backoff: Duration::from_secs(1),
            longest_wait: Duration::from_secs(120),
            failures: 20,
            reply_bytes: 16 << 20,
        }
    }
}

impl OpenAiParams {
    /// Checks every setting and reads the key.
    ///
    /// # Errors
    /// [`ReflectionError::Parameter`] for the first setting outside its range;
    /// [`ReflectionError::NoKey`] and [`ReflectionError::BadKey`] for the key.
    pub fn check(self) -> Result<OpenAiTeacher, ReflectionError> {
        let named = !self.model.trim().is_empty();
        ParameterError::require(named, "model", "empty", "the name of a model")?;
        let labelled = self.label.as_ref().is_none_or(|label| !label.trim().is_empty());
        ParameterError::require(labelled, "label", "empty", "a name, or none")?;
        if let Some(field) = self.extra.keys().find(|name| OWN_FIELDS.contains(&name.as_str())) {
            let (found, expected) =
                (format!("a field `{field}`"), "fields that are not set anyway");
            return Err(ParameterError::new("extra", found, expected).into());
        }
        ParameterError::within("concurrency", self.concurrency, 1..=MOST_AT_ONCE)?;
        if let Some(rate) = self.requests_per_minute {
            ParameterError::finite_from("requests_per_minute", rate, 1e-3)?;
        }
        // Beyond a year, sums of times would come near their end.
        let times = [
            ("connect_timeout", self.connect_timeout, 1),
            ("timeout", self.timeout, 1),
            ("backoff", self.backoff, 0),
            ("longest_wait", self.longest_wait, 0),
        ];
        for (name, time, least) in times {
            let range = Duration::from_millis(least)..=Duration::from_secs(365 * 86_400);
            if !range.contains(&time) {
                let expected = format!("{least} ms to a year");
                return Err(ParameterError::new(name, format!("{time:?}"), expected).into());
            }
        }
        let counts = [
            ("attempts", u64::from(self.attempts)),
            ("failures", u64::from(self.failures)),
            ("reply_bytes", self.reply_bytes),
        ];
        for (name, count) in counts {
            ParameterError::require(count > 0, name, count, "at least 1")?;
        }
        OpenAiTeacher::new(self)
    }
}
