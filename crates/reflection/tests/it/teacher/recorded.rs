//! Answers of before, repeated.

use serde_json::{Value, json};
use tamis_artifact::{Ledger, Manifest};
use tamis_reflection::teacher::Finish;
use tamis_reflection::teacher::{Cached, OpenAiParams, Recorded};
use tamis_reflection::{NoReply, ReflectionError, Reply, Teacher, Usage};

use super::server::{Act, Server};
use super::{ask, ask_one, params, request, requests, teacher};

#[test]
fn a_run_is_repeated_without_its_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let server = Server::echo();
    let cached = Cached::open(teacher(&server), &path, None).unwrap();
    let first = ask(&cached, &requests(5)).unwrap();
    let recorded = Recorded::open(&path).unwrap(); // also while the file is being written
    assert_eq!(recorded.identity(), cached.identity());
    assert_eq!(recorded.len(), 5);
    let second = ask(&recorded, &requests(6)).unwrap();
    for (first, second) in first.iter().zip(&second) {
        let expected = Reply { cached: true, ..first.clone().unwrap() };
        assert_eq!(second.as_ref().unwrap(), &expected);
    }
    assert_eq!(second[5], Err(NoReply::NotRecorded));
    assert_eq!(server.count(), 5);
    // The key and the failures of the first run are not needed, and the whole chain can be stacked.
    let copy = Cached::open(recorded, folder.path().join("copy"), None).unwrap();
    assert!(ask_one(&copy, "q3").is_ok());
}

#[test]
fn one_of_several_teachers_has_to_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let server = Server::start(|seen| Act::reply(seen.body["model"].as_str().unwrap()));
    let mut identities = Vec::new();
    for model in ["large", "small"] {
        let teacher = OpenAiParams { model: model.to_owned(), ..params(&server) }.check().unwrap();
        identities.push(teacher.identity());
        ask_one(&Cached::open(teacher, &path, None).unwrap(), "q").unwrap();
    }
    let error = Recorded::open(&path).unwrap_err().to_string();
    assert!(error.contains("2 teachers") && error.contains("large"), "{error}");
    for (identity, model) in identities.into_iter().zip(["large", "small"]) {
        let recorded = Recorded::open_as(&path, identity).unwrap();
        assert_eq!(ask_one(&recorded, "q").unwrap().text, model);
    }
    let error = Recorded::open_as(&path, json!({"kind": "none"})).unwrap_err();
    assert!(matches!(error, ReflectionError::Record { .. }), "{error}");
}

#[test]
fn other_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    assert!(matches!(Recorded::open(&path), Err(ReflectionError::Artifact(_))));
    drop(Ledger::open::<Value>(&path, &Manifest::new("judgements", 1)).unwrap());
    let error = Recorded::open(&path).unwrap_err().to_string();
    assert!(error.contains("`kind` is \"judgements\""), "{error}");
    let path = folder.path().join("empty");
    drop(Ledger::open::<Value>(&path, &Manifest::new("teacher-answers", 1)).unwrap());
    let error = Recorded::open(&path).unwrap_err().to_string();
    assert!(error.contains("no teacher's answers"), "{error}");
}

#[test]
fn a_list_makes_a_teacher() {
    let reply = |text: &str| Reply {
        text: text.to_owned(),
        finish: Finish::Stop,
        usage: Usage::default(),
        cached: false,
    };
    let pairs =
        [(request("a"), reply("1")), (request("a"), reply("2")), (request("b"), reply("3"))];
    let teacher = Recorded::new(json!({"kind": "list"}), pairs);
    assert_eq!(teacher.len(), 2);
    assert_eq!(ask_one(&teacher, "a").unwrap().text, "1");
    assert_eq!(ask_one(&&teacher, "b").unwrap().text, "3");
    assert_eq!(ask_one(&Box::new(teacher) as &dyn Teacher, "c"), Err(NoReply::NotRecorded));
    assert!(Recorded::new(json!({}), []).is_empty());
}
