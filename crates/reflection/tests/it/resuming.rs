//! Interrupted anywhere, the same in the end; the teacher beside the student.

use std::error::Error;
use std::fs;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use tamis_artifact::{Ledger, Manifest, NoProgress, Progress, Stage};
use tamis_dataset::{Reason, Sample};
use tamis_reflection::history::Outcome;
use tamis_reflection::params::Rule;
use tamis_reflection::student::Measure;
use tamis_reflection::teacher::Answered;
use tamis_reflection::{
    ChatRequest, Counts, History, Prompts, ReflectionError, ReflectionParams, Student, Teacher,
};

use crate::scripted::{
    Asked, Fuse, Instruction, Reader, Response, Scripted, better, cut, pair, record, reply, run_in,
};

/// Eleven records that go all ways there are.
fn samples() -> Vec<Sample> {
    (0..11).map(|n| record(&format!("n{n}"), &format!("i0.5 r0.5 at{n}"))).collect()
}

fn teacher(fuse: &Fuse) -> Scripted<'_> {
    let mut teacher = Scripted::new(fuse);
    for n in 0..11 {
        let id = format!("n{n}");
        let ifd = ["0.1", "0.30000000000000004", "0.5", "!", "0.9", "1.7"][n % 6];
        let new = pair(&format!("#{id} new"), &format!("i{ifd} r0.{n}"));
        teacher = match n {
            3 => teacher.declines(Instruction, &id),
            7 => teacher.says(Instruction, &id, reply("[New Answer]\nonly\n[End]")),
            _ => teacher.says(Instruction, &id, new),
        };
        let r_ifd = ["0.05", "0.9", "!", "0.123456789012345678"][n % 4];
        let best = better(&format!("i0.{n}7 r{r_ifd}"));
        teacher = match n {
            5 => teacher.says(Response, &id, cut("[Better Answer]\nhalf")),
            _ => teacher.says(Response, &id, best),
        };
    }
    teacher
}

fn params(wave: usize) -> ReflectionParams {
    ReflectionParams {
        wave,
        budget: Some(4),
        rule: Rule::Everything,
        ..ReflectionParams::default()
    }
}

fn lines(outcomes: &[Outcome]) -> String {
    outcomes.iter().map(|one| serde_json::to_string(one).unwrap() + "\n").collect()
}

/// Journal and outcomes of a run that nothing disturbed, with its calls to the teacher and the student.
fn undisturbed(wave: usize) -> (Vec<u8>, String, usize, usize) {
    let (folder, fuse) = (tempfile::tempdir().unwrap(), Fuse::never());
    let (teacher, mut student) = (teacher(&fuse), Reader::new(&fuse));
    let found = run_in(folder.path(), params(wave), &samples(), &teacher, &mut student).unwrap();
    let journal = fs::read(folder.path().join("journal.jsonl")).unwrap();
    let calls = (teacher.asked().len(), student.batches);
    (journal, lines(&found.outcomes), calls.0, calls.1)
}

#[test]
fn waves_change_nothing() {
    let (journal, outcomes, questions, batches) = undisturbed(64);
    // Twice every record. One batch for each step and one for the end.
    assert_eq!((questions, batches), (22, 3));
    for wave in [1, 2, 3, 11] {
        let (other_journal, other_outcomes, questions, _) = undisturbed(wave);
        assert!(journal == other_journal && outcomes == other_outcomes, "{wave}");
        assert_eq!(questions, 22);
    }
}

/// Pulls the plug at call `at` of teacher (`true`) or student, then goes on.
fn interrupt(wave: usize, of_teacher: bool, at: usize) {
    let (journal, outcomes, ..) = undisturbed(wave);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.jsonl");
    let (never, fuse) = (Fuse::never(), Fuse::after(at as i64));
    let (mut for_teacher, mut for_student) = (&never, &never);
    *(if of_teacher { &mut for_teacher } else { &mut for_student }) = &fuse;
    let first = teacher(for_teacher);
    let mut student = Reader::new(for_student);
    let error = run_in(folder.path(), params(wave), &samples(), &first, &mut student).unwrap_err();
    assert!(error.to_string().contains("pulled the plug"), "{error}");

    let written = fs::read(&path).unwrap();
    assert!(journal.starts_with(&written), "{at}");
    let (_, finished) = Ledger::read::<History>(&path).unwrap();
    let second = teacher(&never);
    let mut student = Reader::new(&never);
    let found = run_in(folder.path(), params(wave), &samples(), &second, &mut student).unwrap();
    assert_eq!(found.work.resumed, finished.len());
    assert_eq!(fs::read(&path).unwrap(), journal, "{at}");
    assert_eq!(lines(&found.outcomes), outcomes, "{at}");
    // Exactly the records that were not finished, each twice.
    let mut expected: Vec<(Asked, String)> = samples()[finished.len()..]
        .iter()
        .flat_map(|sample| {
            [(Instruction, sample.id.to_string()), (Response, sample.id.to_string())]
        })
        .collect();
    expected.sort();
    assert_eq!(second.asked(), expected);
    for history in &finished {
        assert!(student.scored.iter().all(|(_, id)| *id != history.id.to_string()));
    }
}

#[test]
fn interrupted_at_every_call() {
    for wave in [1, 3, 64] {
        let (_, _, questions, batches) = undisturbed(wave);
        (0..questions).for_each(|at| interrupt(wave, true, at));
        (0..batches).for_each(|at| interrupt(wave, false, at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A process that dies leaves a file that ends anywhere.
    #[test]
    fn a_journal_cut_anywhere_goes_on(wave in 1_usize..6, cut in 0_usize..100_000) {
        let (journal, outcomes, ..) = undisturbed(wave);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        fs::write(&path, &journal[..cut % journal.len()]).unwrap();
        let fuse = Fuse::never();
        let found = run_in(folder.path(), params(wave), &samples(), &teacher(&fuse), &mut Reader::new(&fuse));
        prop_assert_eq!(lines(&found.unwrap().outcomes), outcomes);
        prop_assert_eq!(fs::read(&path).unwrap(), journal);
    }
}

#[test]
fn a_finished_journal_asks_nobody() {
    let (folder, never) = (tempfile::tempdir().unwrap(), Fuse::never());
    let run = |fuse: &Fuse, budget| {
        let params = ReflectionParams { budget: Some(budget), ..params(4) };
        let student = &mut Reader::new(fuse);
        run_in(folder.path(), params, &samples(), &teacher(fuse), student).unwrap()
    };
    let selected = |outcomes: &[Outcome]| outcomes.iter().filter(|one| one.selected).count();
    let first = run(&never, 3);
    // With no call left; another budget needs nothing new.
    let second = run(&Fuse::after(0), 5);
    assert_eq!((second.work.resumed, second.work.records, second.work.questions), (11, 0, 0));
    assert_eq!((selected(&first.outcomes), selected(&second.outcomes)), (3, 5));
    let histories =
        |outcomes: &[Outcome]| outcomes.iter().map(|one| one.history.clone()).collect::<Vec<_>>();
    assert_eq!(histories(&first.outcomes), histories(&second.outcomes));
}

/// The eleven records, counted by hand.
#[test]
fn counts() {
    let (folder, fuse) = (tempfile::tempdir().unwrap(), Fuse::never());
    let student = &mut Reader::new(&fuse);
    let found = run_in(folder.path(), params(4), &samples(), &teacher(&fuse), student).unwrap();
    let counts = serde_json::to_value(Counts::of(&found.outcomes)).unwrap();
    // IFD of the new pairs: .1 .3 .5 – .9 1.7 .1 – .5 ! .9, against .5.
    let instruction =
        json!({"no_reply": 1, "refused": 5, "taken": 3, "unreadable": 1, "unscorable": 1});
    assert_eq!(counts["instruction"], instruction);
    // Reversed IFD, old against new: .5 .05, .5 .9, .5 !, .5 .12, .4 .05, –, .5 !, .5 .12, .5 .05, .5 .9, .10 !.
    let response = json!({"refused": 2, "taken": 5, "unreadable": 1, "unscorable": 3});
    assert_eq!(counts["response"], response);
    assert_eq!(counts["unreadable"], json!({"cut": 1, "missing": 1}));
    assert_eq!(
        counts["reasons"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>(),
        11
    );
}

#[derive(Default)]
struct Steps(Vec<(String, u64, u64)>, u64, bool);

impl Progress for Steps {
    fn start(&mut self, stage: &Stage<'_>) {
        self.0.push((stage.name.to_owned(), stage.total, stage.done));
    }
    fn advance(&mut self, by: u64) {
        self.1 += by;
    }
    fn finish(&mut self) {
        self.2 = true;
    }
}

#[test]
fn progress_counts_records() {
    let (folder, fuse) = (tempfile::tempdir().unwrap(), Fuse::never());
    let reflection = params(4).check(Prompts::built_in().unwrap()).unwrap();
    for (done, advanced) in [(0, 11), (11, 0)] {
        let mut steps = Steps::default();
        let path = folder.path().join("journal.jsonl");
        let student = &mut Reader::new(&fuse);
        reflection.run(&samples(), &teacher(&fuse), student, path, &mut steps).unwrap();
        assert_eq!(
            (steps.0, steps.1, steps.2),
            (vec![("reflect".into(), 11, done)], advanced, true)
        );
    }
}

/// Tells of every record it is asked about.
struct Telling<'t>(Scripted<'t>, Mutex<Sender<String>>);

impl Teacher for Telling<'_> {
    fn identity(&self) -> Value {
        self.0.identity()
    }
    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        for request in requests {
            let text = request.messages.last().unwrap().content.clone();
            self.1.lock().unwrap_or_else(PoisonError::into_inner).send(text).unwrap();
        }
        self.0.ask(requests, done)
    }
}

/// Does not score the first record before the teacher was asked about the second.
struct Waiting<'t>(Reader<'t>, Receiver<String>);

impl Student for Waiting<'_> {
    fn identity(&self) -> Value {
        json!("waiting")
    }
    fn score(
        &mut self,
        measure: Measure,
        samples: &[Sample],
    ) -> Result<Vec<Result<f64, Reason>>, Box<dyn Error + Send + Sync>> {
        while samples[0].id.as_str() == "n0" && measure == Measure::Ifd && self.0.batches == 0 {
            if self.1.recv_timeout(Duration::from_secs(60))?.contains("#n1 ") {
                break;
            }
        }
        self.0.score(measure, samples)
    }
}

#[test]
fn the_teacher_works_beside_the_student() {
    let (fuse, (tell, told)) = (Fuse::never(), channel());
    let teacher = Telling(teacher(&fuse), Mutex::new(tell));
    let mut student = Waiting(Reader::new(&fuse), told);
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), params(1), &samples(), &teacher, &mut student).unwrap();
}

/// A record of the journal without its checksum.
fn line_of(lines: &[&str]) -> Value {
    let mut line: Value = serde_json::from_str(lines[1]).unwrap();
    line.as_object_mut().unwrap().remove("check");
    line
}

#[test]
fn a_journal_of_other_records_is_refused() {
    let (folder, fuse) = (tempfile::tempdir().unwrap(), Fuse::never());
    let path = folder.path().join("journal.jsonl");
    let run = || {
        let student = &mut Reader::new(&fuse);
        let reflection = params(4).check(Prompts::built_in()?)?;
        reflection.run(&samples(), &teacher(&fuse), student, &path, &mut NoProgress)
    };
    run().unwrap();
    // The third record twice, each line by itself whole.
    let text = fs::read_to_string(&path).unwrap();
    let all: Vec<&str> = text.lines().collect();
    let doubled = [&all[..3], &all[2..4], &all[4..]].concat().join("\n") + "\n";
    fs::write(&path, doubled).unwrap();
    let error = run().unwrap_err().to_string();
    let expected = "record 1 (from 0) is `n1`, but there the data has its one line already";
    assert!(error.contains(expected), "{error}");
    // Lines about other records.
    let (manifest, _): (Manifest, Vec<Value>) = Ledger::read(&path).unwrap();
    for (line, expected) in [
        (json!({"place": 4, "id": "n3"}), "record 4 (from 0) is `n3`, but there the data has `n4`"),
        (json!({"place": 11, "id": "n3"}), "is `n3`, but there the data has nothing"),
    ] {
        fs::remove_file(&path).unwrap();
        let (mut ledger, _) = Ledger::open::<Value>(&path, &manifest).unwrap();
        let mut whole = line_of(&all);
        for (name, value) in line.as_object().unwrap() {
            whole[name] = value.clone();
        }
        ledger.append(&whole).unwrap();
        drop(ledger);
        let error = run().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
