//! A teacher that repeats what one said before.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;
use tamis_artifact::Ledger;

use super::answers::{self, Answer, Said};
use super::chat::{ChatRequest, Reply};
use super::no_reply::NoReply;
use super::{Answered, Teacher};
use crate::ReflectionError;

/// Repeats the answers in a file that [`Cached`](super::Cached) wrote, or those of a list, and knows
/// no others: any other request has [`NoReply::NotRecorded`].
///
/// It has the identity of the teacher that it repeats, so that a run which is repeated with it has the
/// manifests of the first one.
#[derive(Clone, Debug)]
pub struct Recorded {
    identity: Value,
    answers: HashMap<String, Said>,
}

impl Recorded {
    /// A teacher called `identity` that knows these answers. Of two answers to one request, the first
    /// counts.
    pub fn new(
        identity: Value,
        replies: impl IntoIterator<Item = (ChatRequest, Reply)>,
    ) -> Recorded {
        let mut answers = HashMap::new();
        for (request, reply) in replies {
            answers.entry(answers::key(&identity, &request)).or_insert(Said::Reply(reply));
        }
        Recorded { identity, answers }
    }

    /// Repeats the one teacher whose answers the file at `path` holds.
    ///
    /// # Errors
    /// [`ReflectionError::Artifact`] if the file is not there, is something else or was damaged;
    /// [`ReflectionError::Record`] if it holds the answers of no teacher or of several.
    pub fn open(path: impl AsRef<Path>) -> Result<Recorded, ReflectionError> {
        let path = path.as_ref();
        let records = read(path)?;
        let mut teachers: Vec<&Value> = Vec::new();
        for record in &records {
            if !teachers.contains(&&record.teacher) {
                teachers.push(&record.teacher);
            }
        }
        match teachers[..] {
            [teacher] => Ok(Self::of(teacher.clone(), &records)),
            [] => Err(unusable(path, "no teacher's answers".to_owned())),
            [first, second, ..] => {
                let found = format!(
                    "the answers of {} teachers ({first}, {second}, …); say which one",
                    teachers.len()
                );
                Err(unusable(path, found))
            }
        }
    }

    /// Repeats the teacher of this identity, whoever else has answers in the file at `path`.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`ReflectionError::Record`] if the file has no answer of that teacher.
    pub fn open_as(path: impl AsRef<Path>, identity: Value) -> Result<Recorded, ReflectionError> {
        let path = path.as_ref();
        let recorded = Self::of(identity, &read(path)?);
        if recorded.is_empty() {
            let found = format!("no answer of the teacher {}", recorded.identity);
            return Err(unusable(path, found));
        }
        Ok(recorded)
    }

    fn of(identity: Value, records: &[Answer]) -> Recorded {
        let mut answers = HashMap::new();
        for record in records.iter().filter(|record| record.teacher == identity) {
            answers.entry(record.key.clone()).or_insert_with(|| record.said.clone());
        }
        Recorded { identity, answers }
    }

    /// How many answers it knows.
    pub fn len(&self) -> usize {
        self.answers.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty()
    }
}

fn read(path: &Path) -> Result<Vec<Answer>, ReflectionError> {
    // The kind of file comes before its records: those of another kind would only be strange lines.
    let (found, _) = Ledger::read::<Value>(path)?;
    let differences = found.differences(&answers::manifest());
    if !differences.is_empty() {
        return Err(unusable(path, format!("something else: {differences}")));
    }
    Ok(Ledger::read::<Answer>(path)?.1)
}

fn unusable(path: &Path, found: String) -> ReflectionError {
    ReflectionError::Record { path: path.to_owned(), found }
}

impl Teacher for Recorded {
    fn identity(&self) -> Value {
        self.identity.clone()
    }

    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        for (place, request) in requests.iter().enumerate() {
            request.check()?;
            let said = self.answers.get(&answers::key(&self.identity, request));
            done(place, said.map_or(Err(NoReply::NotRecorded), Said::known))?;
        }
        Ok(())
    }
}
