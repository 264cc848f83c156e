//! The whole chain, pipeline, cache and client, when something else in it fails: nothing that the server
//! answered is lost, and nobody waits for what is not needed any more.

use std::error::Error;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamis_dataset::{Reason, Sample};
use tamis_reflection::student::Measure;
use tamis_reflection::teacher::{Cached, OpenAiParams, OpenAiTeacher};
use tamis_reflection::{Reflected, ReflectionError, ReflectionParams, Student, Teacher};

use crate::scripted::{Fuse, Reader, better, pair, record, run_in};
use crate::teacher::params;
use crate::teacher::server::{Act, Seen, Server};

const RECORDS: usize = 24;

fn samples() -> Vec<Sample> {
    (0..RECORDS).map(|n| record(&format!("n{n}"), &format!("i0.5 r0.5 at{n}"))).collect()
}

/// What a teacher writes in the form asked for: every record has a text of its own.
fn answer(seen: &Seen) -> Act {
    let question = seen.question();
    let id = question.split_once('#').unwrap().1.split_whitespace().next().unwrap();
    let reply = if question.contains("[Better Answer]") {
        better(&format!("i0.7 r0.1 {id}"))
    } else {
        pair(&format!("#{id} new"), &format!("i0.6 r0.4 {id}"))
    };
    Act::reply(&reply.text)
}

fn client(server: &Server, folder: &Path) -> Cached<OpenAiTeacher> {
    let teacher = OpenAiParams { concurrency: 4, ..params(server) }.check().unwrap();
    Cached::open(teacher, folder.join("answers.jsonl"), None).unwrap()
}

fn reflect(
    folder: &Path,
    teacher: &dyn Teacher,
    student: &mut dyn Student,
) -> Result<Reflected, ReflectionError> {
    let params = ReflectionParams { wave: 8, ..ReflectionParams::default() };
    run_in(folder, params, &samples(), teacher, student)
}

#[test]
fn a_student_that_fails_costs_no_answer() {
    for batches in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let server =
            Server::start(|seen| Act::After(Duration::from_millis(5), Box::new(answer(seen))));
        let cached = client(&server, folder.path());
        let fuse = Fuse::after(batches);
        let error = reflect(folder.path(), &cached, &mut Reader::new(&fuse)).unwrap_err();
        assert!(error.to_string().contains("pulled the plug"), "{error}");
        // Everything that the server answered is in the file.
        let answered = server.count();
        assert!(answered >= 8, "{answered}");
        assert_eq!(cached.len(), answered);
        drop(cached);

        let cached = client(&server, folder.path());
        let fuse = Fuse::never();
        let found = reflect(folder.path(), &cached, &mut Reader::new(&fuse)).unwrap();
        assert!(found.outcomes.iter().all(|outcome| outcome.selected));
        // Two questions for every record, both runs together.
        assert_eq!(server.count(), 2 * RECORDS);
    }
}

/// Fails once the server has refused the first request of the second wave.
struct Absent<'s>(&'s Server);

impl Student for Absent<'_> {
    fn identity(&self) -> Value {
        json!({ "kind": "absent" })
    }

    fn score(
        &mut self,
        _: Measure,
        _: &[Sample],
    ) -> Result<Vec<Result<f64, Reason>>, Box<dyn Error + Send + Sync>> {
        while self.0.count() <= 8 {
            thread::sleep(Duration::from_millis(1));
        }
        thread::sleep(Duration::from_millis(100));
        Err("not here".into())
    }
}

/// The first wave is answered; about the second the server wants a minute of patience. The student's
/// failure is told before that.
#[test]
fn an_error_elsewhere_is_not_held_up_by_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|seen| match seen.number {
        0..8 => answer(seen),
        _ => Act::busy(429, "Retry-After: 60\r\n"),
    });
    let teacher = OpenAiParams { longest_wait: Duration::from_secs(90), ..params(&server) };
    let cached =
        Cached::open(teacher.check().unwrap(), folder.path().join("answers.jsonl"), None).unwrap();
    let begun = Instant::now();
    // As a program has it that may choose between teachers.
    let boxed: Box<dyn Teacher + '_> = Box::new(&cached);
    let error = reflect(folder.path(), &boxed, &mut Absent(&server)).unwrap_err();
    assert!(error.to_string().contains("not here"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(cached.len(), 8);
}
