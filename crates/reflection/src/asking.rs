//! Asking a teacher, here or on a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use crate::{ChatRequest, NoReply, ReflectionError, Reply, Teacher};

/// A reply or why there is none.
pub(crate) type Heard = Result<Reply, NoReply>;

/// Asks and tells each outcome once, with its position; ends soon after `stop` was set.
///
/// # Errors
/// Those of the teacher and of `done`, and [`ReflectionError::Faulty`] for a teacher that tells the
/// outcome of a request twice, or of one that does not exist, or is done without having told all.
pub(crate) fn ask(
    teacher: &dyn Teacher,
    stop: &AtomicBool,
    requests: &[ChatRequest],
    mut done: impl FnMut(usize, Heard) -> Result<(), ReflectionError> + Send,
) -> Result<(), ReflectionError> {
    if requests.is_empty() {
        return Ok(());
    }
    let count = requests.len();
    let faulty = |what: String| ReflectionError::Faulty { who: "teacher", what };
    let mut told = vec![false; count];
    let mut failed = None;
    let asked = teacher.ask_until(stop, requests, &mut |place, heard| {
        // What was under way when it failed is told all the same; only a cache has use for it.
        if failed.is_some() {
            return Err(ReflectionError::GivenUp);
        }
        let noted = match told.get_mut(place) {
            None => Err(faulty(format!("it answered request {place} of {count} (from 0)"))),
            Some(true) => Err(faulty(format!("it answered request {place} twice"))),
            Some(told) => {
                *told = true;
                done(place, heard)
            }
        };
        // Kept here: a teacher may have its own view of what an error means.
        noted.map_err(|error| {
            failed.get_or_insert(error);
            ReflectionError::GivenUp
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    asked?;
    match told.iter().position(|told| !told) {
        None => Ok(()),
        Some(place) => Err(faulty(format!(
            "it was done without a word about request {place} of {count} (from 0)"
        ))),
    }
}

/// A teacher at work on a thread of its own: jobs are answered in the order in which they were given.
pub(crate) struct Desk<'s, J> {
    jobs: Sender<(J, Vec<ChatRequest>)>,
    replies: Receiver<Result<(J, Vec<Heard>), ReflectionError>>,
    closed: &'s AtomicBool,
}

impl<'s, J: Send + 's> Desk<'s, J> {
    /// Opens it. `closed` makes the teacher stop when the desk is dropped.
    pub(crate) fn open<'e>(
        scope: &'s Scope<'s, 'e>,
        teacher: &'s dyn Teacher,
        closed: &'s AtomicBool,
    ) -> Self {
        let (jobs, todo) = channel::<(J, Vec<ChatRequest>)>();
        let (answer, replies) = channel();
        scope.spawn(move || {
            for (job, requests) in todo {
                let heard = ask_all(teacher, &requests, closed);
                let failed = heard.is_err();
                if answer.send(heard.map(|heard| (job, heard))).is_err() || failed {
                    return;
                }
            }
        });
        Self { jobs, replies, closed }
    }

    /// Gives the teacher a job.
    pub(crate) fn submit(&self, job: J, requests: Vec<ChatRequest>) {
        // Nobody is there to take it only after an error, which `next` tells.
        let _ = self.jobs.send((job, requests));
    }

    /// Waits for the job that is finished next.
    pub(crate) fn next(&self) -> Result<(J, Vec<Heard>), ReflectionError> {
        self.replies.recv().unwrap_or_else(|_| {
            let what = "its thread ended with jobs to do".to_owned();
            Err(ReflectionError::Faulty { who: "teacher", what })
        })
    }
}

impl<J> Drop for Desk<'_, J> {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

fn ask_all(
    teacher: &dyn Teacher,
    requests: &[ChatRequest],
    closed: &AtomicBool,
) -> Result<Vec<Heard>, ReflectionError> {
    let mut heard: Vec<Option<Heard>> = requests.iter().map(|_| None).collect();
    ask(teacher, closed, requests, |place, reply| {
        if closed.load(Ordering::Relaxed) {
            return Err(ReflectionError::GivenUp);
        }
        heard[place] = Some(reply);
        Ok(())
    })?;
    Ok(heard.into_iter().flatten().collect())
}
