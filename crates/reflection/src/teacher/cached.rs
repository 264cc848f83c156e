//! A teacher whose answers are kept in a file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tamis_artifact::Ledger;

use super::answers::{self, Answer, Said};
use super::chat::{ChatRequest, Reply};
use super::no_reply::NoReply;
use super::spent::{Prices, Spent};
use super::{Answered, Teacher};
use crate::ReflectionError;

/// Asks another teacher, but never the same twice.
///
/// A reply is on the disk before the caller learns of it, so that whatever stops the program, nothing
/// that was answered is asked (and paid for) again. That holds for replies that come in when the caller has
/// failed already, too: they are written down and told to nobody. Requests that are the same are asked
/// once. What had no reply is asked again the next time, unless that would be the same again and was paid
/// for: an empty or a filtered reply that took tokens is kept like any other.
///
/// Answers are stored under the teacher's [`identity`](Teacher::identity) and the whole request, so one
/// file may serve several teachers, one after another: an open file is locked. It is a
/// [`Ledger`]: JSON lines with checksums.
///
/// Two calls of [`ask`](Teacher::ask) at the same time may both ask what neither has an answer to yet;
/// within one call that cannot happen.
#[derive(Debug)]
pub struct Cached<T> {
    teacher: T,
    identity: Value,
    prices: Option<Prices>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    answers: HashMap<String, Said>,
    spent: Spent,
}

impl State {
    /// An answer that is there, marked as known.
    fn known(&mut self, key: &str) -> Option<Result<Reply, NoReply>> {
        let said = self.answers.get(key)?;
        self.spent.save(said.usage());
        Some(said.known())
    }
}

impl<T: Teacher> Cached<T> {
    /// Keeps the answers of `teacher` in the file at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// [`ReflectionError::Artifact`] if the file is something else (it names the field that differs),
    /// was damaged, or is open elsewhere; [`ReflectionError::Parameter`] for a price that is none.
    pub fn open(
        teacher: T,
        path: impl AsRef<Path>,
        prices: Option<Prices>,
    ) -> Result<Self, ReflectionError> {
        let prices = prices.map(Prices::check).transpose()?;
        let (ledger, records) = Ledger::open::<Answer>(path, &answers::manifest())?;
        let mut answers = HashMap::with_capacity(records.len());
        for record in records {
            answers.entry(record.key).or_insert(record.said);
        }
        let identity = teacher.identity();
        let state = Mutex::new(State { ledger, answers, spent: Spent::new(prices) });
        Ok(Self { teacher, identity, prices, state })
    }

    /// What asking has taken since the file was opened.
    pub fn spent(&self) -> Spent {
        self.state().spent.clone()
    }

    /// Answers in the file, those of other teachers included.
    pub fn len(&self) -> usize {
        self.state().answers.len()
    }

    /// Whether the file has no answer.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The teacher that is asked.
    pub fn teacher(&self) -> &T {
        &self.teacher
    }

    /// The state is whole between any two statements that change it, so one that a panic left behind
    /// is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an outcome down, if it is to be kept, and counts it.
    fn keep(
        &self,
        key: &str,
        request: &ChatRequest,
        outcome: &Result<Reply, NoReply>,
    ) -> Result<(), ReflectionError> {
        let mut state = self.state();
        state.spent.count(outcome.as_ref().map(|reply| reply.usage), self.prices);
        if let Some(said) = Said::lasting(outcome) {
            state.ledger.append(&Answer {
                key: key.to_owned(),
                teacher: self.identity.clone(),
                request: request.clone(),
                said: said.clone(),
            })?;
            state.answers.insert(key.to_owned(), said);
        }
        Ok(())
    }

    /// Tells the outcome of all requests that are the same; the first of them was asked.
    fn tell(
        &self,
        places: &[usize],
        outcome: Result<Reply, NoReply>,
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        let Some((&first, others)) = places.split_first() else { return Ok(()) };
        let again = outcome.clone().map(|reply| Reply { cached: true, ..reply });
        done(first, outcome)?;
        for &place in others {
            if let Ok(reply) = &again {
                self.state().spent.save(reply.usage);
            }
            done(place, again.clone())?;
        }
        Ok(())
    }
}

impl<T: Teacher> Teacher for Cached<T> {
    fn identity(&self) -> Value {
        self.identity.clone()
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
        stop: &AtomicBool,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        let mut unknown: Vec<ChatRequest> = Vec::new();
        let mut keys: Vec<String> = Vec::new();
        // Where each of `unknown` stands among the requests.
        let mut places: Vec<Vec<usize>> = Vec::new();
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for (place, request) in requests.iter().enumerate() {
            request.check()?;
            let key = answers::key(&self.identity, request);
            if let Some(&number) = numbers.get(&key) {
                places[number].push(place);
                continue;
            }
            let known = self.state().known(&key);
            if let Some(outcome) = known {
                done(place, outcome)?;
            } else {
                numbers.insert(key.clone(), unknown.len());
                unknown.push(request.clone());
                keys.push(key);
                places.push(vec![place]);
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let mut failed = false;
        self.teacher.ask_until(stop, &unknown, &mut |number, outcome| {
            // First of all: what was under way when the caller failed was paid for like the rest.
            self.keep(&keys[number], &unknown[number], &outcome)?;
            if failed {
                return Ok(());
            }
            let told = self.tell(&places[number], outcome, done);
            failed = told.is_err();
            told
        })
    }
}
