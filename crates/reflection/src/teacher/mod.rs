//! Teachers: whatever answers a chat.

mod chat;

use serde_json::Value;

pub use chat::{ChatRequest, Finish, NoReply, Reply, Usage};

use crate::ReflectionError;

/// What a teacher calls with each outcome: the position of the request and the reply, or why there is
/// none. An error of it stops the asking.
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
}
