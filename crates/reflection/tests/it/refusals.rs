//! Settings, journals, teachers and students that are refused.

use std::error::Error;

use serde_json::{Value, json};
use tamis_artifact::NoProgress;
use tamis_dataset::{Reason, Sample};
use tamis_reflection::params::{Keep, Rule};
use tamis_reflection::student::Measure;
use tamis_reflection::teacher::Answered;
use tamis_reflection::{
    ChatRequest, Decoding, Prompts, ReflectionError, ReflectionParams, Student, Teacher,
};

use crate::scripted::{Fuse, Reader, Response, Scripted, better, record, reply, run};

#[test]
fn settings_that_make_no_sense() {
    let change = |edit: fn(&mut ReflectionParams)| {
        let mut params = ReflectionParams::default();
        edit(&mut params);
        params.check(Prompts::built_in().unwrap()).unwrap_err().to_string()
    };
    for (error, expected) in [
        (
            change(|p| (p.instruction, p.response) = (Keep::Off, Keep::Off)),
            "nothing would be asked",
        ),
        (change(|p| p.response = Keep::Off), "`rule` is published, expected either-change or"),
        (change(|p| p.wave = 0), "`wave` is 0, expected at least 1"),
        (change(|p| p.decoding.max_tokens = 0), "`max_tokens` is 0"),
        (change(|p| p.decoding.temperature = -0.5), "`temperature` is -0.5"),
        (change(|p| p.decoding.temperature = f64::NAN), "`temperature` is NaN"),
        (change(|p| p.decoding.top_p = 0.0), "`top_p` is 0"),
        (change(|p| p.decoding.top_p = 1.5), "`top_p` is 1.5"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

/// A journal goes on only with what it was begun with; the message names the field.
#[test]
fn journals_of_other_runs() {
    let folder = tempfile::tempdir().unwrap();
    let fuse = Fuse::never();
    let own = folder.path().join("prompts");
    std::fs::create_dir(&own).unwrap();
    let text = include_str!("../../prompts/reflect_response.txt");
    let other = text.replace("reflect-response 1", "reflect-response 2");
    std::fs::write(own.join("reflect_response.txt"), other).unwrap();

    let run = |edit: &dyn Fn(&mut ReflectionParams),
               prompts: &Prompts,
               data: &str,
               names: [&'static str; 2]| {
        let mut params = ReflectionParams::default();
        edit(&mut params);
        let mut teacher = Scripted::new(&fuse).says(Response, "a", better("i0.5 r0.1"));
        let mut student = Reader::new(&fuse);
        (teacher.name, student.name) = (names[0], names[1]);
        let path = folder.path().join("journal.jsonl");
        let reflection = params.check(prompts.clone()).unwrap();
        reflection.run(&vec![record("a", data)], &teacher, &mut student, path, &mut NoProgress)
    };
    let (built_in, names) = (Prompts::built_in().unwrap(), ["scripted", "reader"]);
    let same = |_: &mut ReflectionParams| {};
    run(&same, &built_in, "i0.5 r0.5", names).unwrap();
    // What changes no byte of the journal may change.
    run(&|p| (p.wave, p.seed) = (3, 8), &built_in, "i0.5 r0.5", names).unwrap();

    let own = Prompts::from_dir(&own).unwrap();
    for (found, field) in [
        (
            run(&same, &own, "i0.5 r0.5", names),
            "`made_from.prompts.reflect_response.version` is 1, expected 2",
        ),
        (run(&same, &built_in, "i0.5 r0.6", names), "`source.content`"),
        (
            run(&same, &built_in, "i0.5 r0.5", ["other", "reader"]),
            "`made_from.teacher.kind` is \"scripted\", expected \"other\"",
        ),
        (run(&same, &built_in, "i0.5 r0.5", ["scripted", "other"]), "`made_from.student.kind`"),
        (
            run(&|p| p.decoding.temperature = 0.5, &built_in, "i0.5 r0.5", names),
            "`settings.decoding.temperature`",
        ),
        (run(&|p| p.rule = Rule::Everything, &built_in, "i0.5 r0.5", names), "`settings.rule`"),
        (run(&|p| p.budget = Some(1), &built_in, "i0.5 r0.5", names), "`settings.budgeted`"),
        (
            run(&|p| p.instruction = Keep::Always, &built_in, "i0.5 r0.5", names),
            "`settings.instruction`",
        ),
    ] {
        let error = found.unwrap_err();
        assert!(matches!(error, ReflectionError::Artifact(_)));
        assert!(error.to_string().contains(field), "{error}");
    }
    // The coin's seed counts where there is a coin.
    let random = |seed| move |p: &mut ReflectionParams| (p.response, p.seed) = (Keep::Random, seed);
    std::fs::remove_file(folder.path().join("journal.jsonl")).unwrap();
    run(&random(1), &built_in, "i0.5 r0.5", names).unwrap();
    let error = run(&random(2), &built_in, "i0.5 r0.5", names).unwrap_err().to_string();
    assert!(error.contains("`settings.seed` is 1, expected 2"), "{error}");
}

/// Answers at these places, whatever was asked.
struct Faulty(&'static [usize]);

impl Teacher for Faulty {
    fn identity(&self) -> Value {
        json!("faulty")
    }
    fn ask(&self, _: &[ChatRequest], done: &mut Answered<'_>) -> Result<(), ReflectionError> {
        for &place in self.0 {
            // An error of `done` is dropped: that is a fault, too.
            let _ = done(place, Ok(reply("")));
        }
        Ok(())
    }
}

#[test]
fn teachers_that_break_their_word() {
    let fuse = Fuse::never();
    let samples = [record("a", "i1 r1"), record("b", "i1 r1")];
    for (places, expected) in [
        (&[0_usize] as &[_], "done without a word about request 1 of 2"),
        (&[0, 0, 1], "answered request 0 twice"),
        (&[0, 1, 2], "answered request 2 of 2"),
    ] {
        let student = &mut Reader::new(&fuse);
        let found = run(ReflectionParams::default(), &samples, &Faulty(places), student);
        let error = found.unwrap_err().to_string();
        assert!(error.contains("the teacher is faulty") && error.contains(expected), "{error}");
    }
}

struct Forgetful;

impl Student for Forgetful {
    fn identity(&self) -> Value {
        json!("forgetful")
    }
    fn score(
        &mut self,
        _: Measure,
        samples: &[Sample],
    ) -> Result<Vec<Result<f64, Reason>>, Box<dyn Error + Send + Sync>> {
        Ok(vec![Ok(0.5); samples.len() - 1])
    }
}

#[test]
fn a_student_that_forgets_one() {
    let fuse = Fuse::never();
    let teacher = Scripted::new(&fuse).says(Response, "a", better("i1 r1 x"));
    let samples = [record("a", "i1 r1")];
    let found = run(ReflectionParams::default(), &samples, &teacher, &mut Forgetful);
    let error = found.unwrap_err().to_string();
    assert_eq!(error, "the student is faulty: it gave 1 scores for 2 samples");
}

#[test]
fn no_records_are_no_error() {
    let fuse = Fuse::after(0);
    let (teacher, mut student) = (Scripted::new(&fuse), Reader::new(&fuse));
    let found = run(ReflectionParams::default(), &[], &teacher, &mut student).unwrap();
    assert!(found.outcomes.is_empty());
}

#[test]
fn what_others_share_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<tamis_reflection::Reflection>();
    shared::<tamis_reflection::Judge>();
    shared::<ReflectionError>();
    shared::<Decoding>();
}
