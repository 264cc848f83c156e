//! A client of the chat completions interface of `OpenAI`, which nearly every server of language models speaks.

mod address;
mod delay;
mod fault;
mod pace;
mod params;
mod resolver;
mod secret;
mod wire;

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use ureq::http::{HeaderMap, HeaderName};
use ureq::unversioned::transport::DefaultConnector;

use self::address::Address;
pub use self::delay::{backoff, retry_after};
use self::fault::{Judge, Verdict};
use self::pace::{Pace, Stop};
pub use self::params::{LengthField, OpenAiParams};
use self::resolver::Lookup;
pub use self::secret::KeySource;
use self::secret::Secret;
use self::wire::{Complaint, Said};
use super::chat::{ChatRequest, Reply};
use super::no_reply::NoReply;
use super::{Answered, Teacher};
use crate::ReflectionError;

/// Bytes of an error's body that are read; more would not be shown.
const COMPLAINT_BYTES: u64 = 64 << 10;

/// How often a call looks whether it was given up while it has nothing else to do.
const GLANCE: Duration = Duration::from_millis(50);

/// Asks a server; made by [`OpenAiParams::check`].
///
/// Each request is tried until it has a reply or an outcome that another attempt would not change, at
/// most [`attempts`](OpenAiParams::attempts) times. Timeouts, ended connections, statuses 408, 409, 425,
/// 429 and 5xx and bodies that are no chat completion are tried again, after a
/// [`backoff`](OpenAiParams::backoff) and not before the `Retry-After` that the server asked for, which
/// holds the other requests back as well. A reply that is empty, filtered or too large and any other
/// refusal is the request's outcome at once.
///
/// What concerns every request ends the call: no access, no credit, no such model, no such page, a
/// setting that the server does not take, a server that cannot be reached, a `Retry-After` beyond the
/// [longest wait](OpenAiParams::longest_wait), too many [failures](OpenAiParams::failures) in a row.
/// Replies that were under way are still told, as they are when the caller's `done` fails: they were paid
/// for. Redirects are not followed: they would carry the key elsewhere.
///
/// The key is in no error, no identity and no `Debug` output, and the server's own words are shown
/// without it.
pub struct OpenAiTeacher {
    params: OpenAiParams,
    address: Address,
    key: Option<Secret>,
    agent: Agent,
    pace: Pace,
    /// Requests without a reply since the last one with a reply.
    failures: AtomicU32,
}

impl fmt::Debug for OpenAiTeacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiTeacher")
            .field("address", &self.address)
            .field("params", &self.params)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// Why a request has neither reply nor [`NoReply`].
enum Halt {
    /// Another request's fate.
    Stopped,
    Error(ReflectionError),
}

/// An outcome on its way from the thread that asked.
type Told = (usize, Result<Result<Reply, NoReply>, ReflectionError>);

impl OpenAiTeacher {
    fn new(params: OpenAiParams) -> Result<Self, ReflectionError> {
        let address = Address::parse(&params.base_url)?;
        let key = params.key.key(&address)?;
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("tamis/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .timeout_connect(Some(params.connect_timeout))
            .timeout_global(Some(params.timeout))
            .max_idle_connections(params.concurrency)
            .max_idle_connections_per_host(params.concurrency);
        if address.is_local() {
            // A proxy would not find this machine.
            config = config.proxy(None);
        }
        let agent =
            Agent::with_parts(config.build(), DefaultConnector::default(), Lookup::default());
        let interval = params.requests_per_minute.map_or(0.0, |rate| 60.0 / rate);
        let pace = Pace::new(Duration::from_secs_f64(interval));
        Ok(Self { params, address, key, agent, pace, failures: AtomicU32::new(0) })
    }

    /// The checked settings.
    pub fn params(&self) -> &OpenAiParams {
        &self.params
    }

    /// One request with all its attempts.
    fn answer(&self, request: &ChatRequest, stop: &Stop) -> Result<Result<Reply, NoReply>, Halt> {
        let body = wire::body(&self.params, request).to_string();
        let mut attempts = 0;
        loop {
            if !self.pace.pass(stop) {
                return Err(Halt::Stopped);
            }
            attempts += 1;
            let (fault, patience) = match self.attempt(&body, attempts) {
                Ok(reply) => return Ok(Ok(reply)),
                Err(Verdict::None(none)) => return Ok(Err(none)),
                Err(Verdict::Stop(error)) => return Err(Halt::Error(error)),
                Err(Verdict::Again(fault, patience)) => (fault, patience.unwrap_or_default()),
            };
            if patience > self.params.longest_wait {
                // Rounded up: coming back a little early would be in vain.
                let more = u64::from(patience.subsec_nanos() > 0);
                let seconds = patience.as_secs().saturating_add(more);
                let (address, reason) = (self.address.to_string(), fault.words());
                return Err(Halt::Error(ReflectionError::ComeBackLater {
                    address,
                    seconds,
                    reason,
                }));
            }
            self.pace.rest(patience);
            if attempts == self.params.attempts {
                let none = fault.exhausted(attempts, self.params.timeout, &self.address);
                return none.map(Err).map_err(Halt::Error);
            }
            let wait =
                backoff(self.params.backoff, self.params.longest_wait, attempts, delay::lot());
            if !self.pace.sleep(wait.max(patience), stop) {
                return Err(Halt::Stopped);
            }
        }
    }

    /// One attempt.
    fn attempt(&self, body: &str, attempts: u32) -> Result<Reply, Verdict> {
        let judge = Judge {
            address: &self.address,
            params: &self.params,
            key: self.key.as_ref(),
            attempts,
        };
        let mut request = self.agent.post(self.address.chat());
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(header) = self.key.as_ref().and_then(Secret::header) {
            request = request.header(AUTHORIZATION, header);
        }
        let mut response = request.send(body).map_err(|error| judge.transport(&error))?;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            // As much as can be read: the status says enough.
            let mut text = Vec::new();
            let _ = response.body_mut().as_reader().take(COMPLAINT_BYTES).read_to_end(&mut text);
            let complaint = Complaint::read(&text);
            return Err(judge.status(status, &complaint, patience(response.headers())));
        }
        let json = |kind: &str| kind == "application/json" || kind.ends_with("+json");
        if let Some(kind) = response.body().mime_type().map(str::to_ascii_lowercase)
            && !json(&kind)
        {
            return Err(judge.malformed(&format!("the content type is {kind}, not JSON")));
        }
        let body = response.body_mut().with_config().limit(self.params.reply_bytes);
        let bytes = body.read_to_vec().map_err(|error| judge.transport(&error))?;
        match wire::read(&bytes).map_err(|reason| judge.malformed(&reason))? {
            Said::Text { text, finish, usage } if text.trim().is_empty() => {
                Err(Verdict::None(NoReply::Empty { finish, usage, attempts }))
            }
            Said::Text { text, finish, usage } => Ok(Reply { text, finish, usage, cached: false }),
            Said::Filtered { reason, usage } => Err(judge.filtered(&reason, usage)),
            Said::Error(complaint) => {
                let status = complaint.status.filter(|status| (400..600).contains(status));
                Err(judge.status(status.unwrap_or(500), &complaint, patience(response.headers())))
            }
        }
    }

    /// Counts requests without a reply; too many in a row are no fate of single ones.
    fn watch(&self, outcome: &Result<Reply, NoReply>) -> Result<(), ReflectionError> {
        let last = match outcome {
            Err(none) if none.is_about_the_text() => return Ok(()),
            Err(none) => none.clone(),
            Ok(_) => {
                self.failures.store(0, Ordering::Relaxed);
                return Ok(());
            }
        };
        let count = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if count < self.params.failures {
            return Ok(());
        }
        // Who asks again has seen to it.
        self.failures.store(0, Ordering::Relaxed);
        Err(ReflectionError::NoReplies { address: self.address.to_string(), count, last })
    }

    /// What a thread does: one request after another until there are no more.
    fn work(
        &self,
        requests: &[ChatRequest],
        next: &AtomicUsize,
        stop: &Stop,
        tell: &SyncSender<Told>,
    ) {
        while !stop.is_set() {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(request) = requests.get(place) else { return };
            let told = match self.answer(request, stop) {
                Ok(outcome) => Ok(outcome),
                Err(Halt::Stopped) => return,
                Err(Halt::Error(error)) => {
                    // At once, whoever is just being listened to.
                    self.pace.stop(stop);
                    Err(error)
                }
            };
            if tell.send((place, told)).is_err() {
                return; // nobody listens any more
            }
        }
    }
}

/// How long the server asks to wait.
fn patience(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    // The server's clock may be another than ours.
    let now = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    retry_after(text(RETRY_AFTER)?, now.unwrap_or_else(SystemTime::now))
}

/// Stops the threads of a call however it ends, also by a panic of the caller's `done`.
struct StopAtEnd<'a>(&'a Pace, &'a Stop);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop(self.1);
    }
}

impl Teacher for OpenAiTeacher {
    fn identity(&self) -> Value {
        let server = self.params.label.clone().unwrap_or_else(|| self.address.to_string());
        json!({
            "kind": "openai",
            "server": server,
            "model": self.params.model,
            "extra": self.params.extra,
        })
    }

    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        self.ask_until(&AtomicBool::new(false), requests, done)
    }

    fn ask_until(
        &self,
        given_up: &AtomicBool,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        requests.iter().try_for_each(ChatRequest::check)?;
        if given_up.load(Ordering::Relaxed) {
            return Err(ReflectionError::GivenUp);
        }
        let (stop, next) = (Stop::default(), AtomicUsize::new(0));
        // Without room for any: no thread asks on while what it brought is not yet in safe hands.
        let (tell, told) = mpsc::sync_channel::<Told>(0);
        thread::scope(|scope| {
            // Declared first, dropped last: whoever waits to tell something must find nobody there.
            let _end = StopAtEnd(&self.pace, &stop);
            let told = told;
            let mut failure = None;
            // The others under way may still bring something.
            let mut fail = |error| {
                self.pace.stop(&stop);
                failure.get_or_insert(error);
            };
            for _ in 0..self.params.concurrency.min(requests.len()) {
                let (tell, stop, next) = (tell.clone(), &stop, &next);
                let spawned = thread::Builder::new()
                    .name("teacher".to_owned())
                    .spawn_scoped(scope, move || self.work(requests, next, stop, &tell));
                if let Err(error) = spawned {
                    fail(ReflectionError::Thread(error));
                    break;
                }
            }
            drop(tell);
            loop {
                if given_up.load(Ordering::Relaxed) {
                    fail(ReflectionError::GivenUp);
                }
                let (place, outcome) = match told.recv_timeout(GLANCE) {
                    Ok(told) => told,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                let told = outcome.and_then(|outcome| {
                    let watched = self.watch(&outcome);
                    done(place, outcome)?;
                    watched
                });
                if let Err(error) = told {
                    fail(error);
                }
            }
            failure.map_or(Ok(()), Err)
        })
    }
}
