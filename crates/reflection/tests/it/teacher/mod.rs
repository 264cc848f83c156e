//! Teachers against servers that misbehave.

mod cached;
mod contents;
mod faults;
mod giving_up;
mod kill;
mod limits;
mod local;
mod properties;
mod recorded;
mod secrets;
pub(crate) mod server;

use std::time::Duration;

use tamis_dataset::Message;
use tamis_reflection::teacher::{KeySource, OpenAiParams, OpenAiTeacher};
use tamis_reflection::{ChatRequest, NoReply, ReflectionError, Reply, Teacher};

use self::server::{Act, Server};

/// A request that asks `text`.
fn request(text: &str) -> ChatRequest {
    ChatRequest {
        messages: vec![Message::new("user", text)],
        max_tokens: 64,
        temperature: 0.0,
        top_p: 1.0,
        seed: Some(1),
    }
}

/// Requests `q0`, `q1`, …
fn requests(count: usize) -> Vec<ChatRequest> {
    (0..count).map(|number| request(&format!("q{number}"))).collect()
}

/// Settings that lose no time.
pub(crate) fn params(server: &Server) -> OpenAiParams {
    OpenAiParams {
        base_url: server.base_url(),
        model: "small".to_owned(),
        key: KeySource::None,
        concurrency: 4,
        attempts: 3,
        backoff: Duration::from_millis(2),
        longest_wait: Duration::from_secs(5),
        // Only tests of time limits shorten these: a machine may be busy.
        timeout: Duration::from_secs(20),
        ..OpenAiParams::default()
    }
}

fn teacher(server: &Server) -> OpenAiTeacher {
    params(server).check().unwrap()
}

/// All outcomes in the order of the requests; every one must have been told once.
fn ask(
    teacher: &dyn Teacher,
    requests: &[ChatRequest],
) -> Result<Vec<Result<Reply, NoReply>>, ReflectionError> {
    let mut outcomes = vec![None; requests.len()];
    teacher.ask(requests, &mut |place, outcome| {
        assert!(outcomes[place].replace(outcome).is_none(), "request {place} was told twice");
        Ok(())
    })?;
    Ok(outcomes.into_iter().map(|outcome| outcome.expect("every request has an outcome")).collect())
}

/// The outcome of one request.
fn ask_one(teacher: &dyn Teacher, text: &str) -> Result<Reply, NoReply> {
    ask(teacher, &[request(text)]).unwrap().remove(0)
}

/// What a server does, for ever.
type Deed = fn() -> Act;

/// The outcome of one request against a script, and how often the server was asked.
fn against(acts: Vec<fn() -> Act>) -> (Result<Reply, NoReply>, usize) {
    let server = Server::script(acts);
    let outcome = ask_one(&teacher(&server), "q");
    (outcome, server.count())
}

/// The error that one request ends the asking with, and how often the server was asked.
fn stops(acts: Vec<fn() -> Act>) -> (ReflectionError, usize) {
    let server = Server::script(acts);
    let error = ask(&teacher(&server), &[request("q")]).unwrap_err();
    (error, server.count())
}

fn ok() -> Act {
    Act::reply("fine")
}
