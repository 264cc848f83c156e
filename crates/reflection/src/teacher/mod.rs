//! Teachers: whatever answers a chat.
//!
//! | teacher | answers come from |
//! | --- | --- |
//! | [`OpenAiTeacher`] | a server that speaks the chat completions of `OpenAI`: hosted, or on this machine |
#![cfg_attr(feature = "local", doc = "| [`LocalTeacher`] | a model in this process |")]
#![cfg_attr(
    not(feature = "local"),
    doc = "| `LocalTeacher` (feature `local`) | a model in this process |"
)]
//! | [`Recorded`] | a file of earlier answers, or a list of them |
//! | [`Cached`] | the file, and another teacher where the file has none |

mod answers;
mod cached;
mod chat;
#[cfg(feature = "local")]
mod local;
mod no_reply;
mod openai;
mod recorded;
mod spent;

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

pub use cached::Cached;
pub use chat::{ChatRequest, Finish, Reply, Usage};
#[cfg(feature = "local")]
pub use local::{LocalParams, LocalTeacher};
pub use no_reply::NoReply;
pub use openai::{KeySource, LengthField, OpenAiParams, OpenAiTeacher, backoff, retry_after};
pub use recorded::Recorded;
pub use spent::{Prices, Spent};

use crate::ReflectionError;

/// What a teacher calls with each outcome: the position of the request and the reply, or why there is
/// none. After an error of it nothing new is asked, and the call ends with that error. What was under way by
/// then may still be told: a cache keeps it, anybody else may refuse it again.
pub type Answered<'a> =
    dyn FnMut(usize, Result<Reply, NoReply>) -> Result<(), ReflectionError> + Send + 'a;

/// Answers chats.
///
/// A teacher gets many requests at once and decides itself how many it works on at a time.
pub trait Teacher: Send + Sync {
    /// What decides its answers (kind, model, …) but no key and no address with one, for manifests and
    /// caches.
    fn identity(&self) -> Value;

    /// Answers every request and calls `done` once for each as soon as its outcome is known, in any
    /// order, from one thread at a time.
    ///
    /// # Errors
    /// What concerns every request (a key that is refused, a model that is not there), and the error
    /// of `done`. Requests whose outcome was not told then have none: asking again is right.
    fn ask(&self, requests: &[ChatRequest], done: &mut Answered<'_>)
    -> Result<(), ReflectionError>;

    /// As [`ask`](Self::ask), but ends soon after `stop` was set from another thread, with any error. What is
    /// under way by then is told, as after an error of `done`.
    ///
    /// A teacher that may wait for long without telling anything should look at `stop` meanwhile; one
    /// that forwards to another must forward this, too. Without an own version, the next outcome ends the
    /// asking: whoever sets `stop` refuses that.
    ///
    /// # Errors
    /// Those of [`ask`](Self::ask), and [`ReflectionError::GivenUp`].
    fn ask_until(
        &self,
        stop: &AtomicBool,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        if stop.load(Ordering::Relaxed) {
            return Err(ReflectionError::GivenUp);
        }
        self.ask(requests, done)
    }
}

impl<T: Teacher + ?Sized> Teacher for &T {
    fn identity(&self) -> Value {
        (**self).identity()
    }

    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        (**self).ask(requests, done)
    }

    fn ask_until(
        &self,
        stop: &AtomicBool,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        (**self).ask_until(stop, requests, done)
    }
}

impl<T: Teacher + ?Sized> Teacher for Box<T> {
    fn identity(&self) -> Value {
        (**self).identity()
    }

    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        (**self).ask(requests, done)
    }

    fn ask_until(
        &self,
        stop: &AtomicBool,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        (**self).ask_until(stop, requests, done)
    }
}
