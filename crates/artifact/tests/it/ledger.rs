//! The file of records: nothing that was appended is lost, nothing damaged is believed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tamis_artifact::{ArtifactError, Ledger, Manifest};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Answer {
    key: u32,
    text: String,
}

fn answer(key: u32) -> Answer {
    Answer { key, text: format!("line {key}\nand \"more\"") }
}

fn manifest() -> Manifest {
    Manifest::new("answers", 1).with("model", "small").unwrap()
}

fn with_answers(path: &Path, count: u32) {
    let (mut ledger, before) = Ledger::open::<Answer>(path, &manifest()).unwrap();
    assert!(before.is_empty());
    (0..count).for_each(|key| ledger.append(&answer(key)).unwrap());
}

#[test]
fn what_was_appended_comes_back_in_order_and_is_added_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    with_answers(&path, 3);
    let (mut ledger, before) = Ledger::open::<Answer>(&path, &manifest()).unwrap();
    assert_eq!(before, (0..3).map(answer).collect::<Vec<_>>());
    ledger.append(&answer(3)).unwrap();
    let (made_from, all) = Ledger::read::<Answer>(&path).unwrap();
    assert_eq!((made_from, all.len()), (manifest(), 4));
}

#[test]
fn a_file_made_from_something_else_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    with_answers(&path, 1);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"torn").unwrap();
    let before = fs::read(&path).unwrap();
    let other = Manifest::new("answers", 1).with("model", "large").unwrap();
    let error = Ledger::open::<Answer>(&path, &other).unwrap_err();
    assert!(matches!(error, ArtifactError::Mismatch { .. }), "{error}");
    assert!(
        error.to_string().contains("field `model` is \"small\", expected \"large\""),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_without_records_is_begun_anew_unless_it_is_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    with_answers(&path, 0);
    let other = Manifest::new("answers", 1).with("model", "large").unwrap();
    drop(Ledger::open::<Answer>(&path, &other).unwrap());
    assert_eq!(Ledger::read::<Answer>(&path).unwrap().0, other);
    for strange in [Manifest::new("judgements", 1), Manifest::new("answers", 2)] {
        let error = Ledger::open::<Answer>(&path, &strange).unwrap_err();
        assert!(matches!(error, ArtifactError::Mismatch { .. }), "{error}");
    }
}

#[test]
fn two_writers_at_once_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    let (_first, _) = Ledger::open::<Answer>(&path, &manifest()).unwrap();
    let second = Ledger::open::<Answer>(&path, &manifest()).unwrap_err();
    assert!(matches!(second, ArtifactError::Locked { .. }), "{second}");
}

#[test]
fn a_changed_letter_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.jsonl");
    with_answers(&path, 3);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("line 1", "line 7")).unwrap();
    let error = Ledger::open::<Answer>(&path, &manifest()).unwrap_err().to_string();
    assert!(error.contains("line 3: does not match its checksum"), "{error}");
    // What is no record is told apart from what was damaged.
    fs::write(&path, text).unwrap();
    let error = Ledger::read::<Manifest>(&path).unwrap_err().to_string();
    assert!(error.contains("line 2: is not as expected"), "{error}");
}

#[test]
fn records_without_a_field_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut ledger, _) =
        Ledger::open::<Answer>(folder.path().join("l.jsonl"), &manifest()).unwrap();
    for error in
        [ledger.append(&7).unwrap_err(), ledger.append(&serde_json::json!({})).unwrap_err()]
    {
        assert!(error.to_string().contains("not an object with fields"), "{error}");
    }
}

proptest! {
    #[test]
    fn a_file_cut_anywhere_gives_its_whole_lines(cut in 0usize..10_000) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.jsonl");
        with_answers(&path, 4);
        let whole = fs::read(&path).unwrap();
        let cut = cut % (whole.len() + 1);
        fs::write(&path, &whole[..cut]).unwrap();
        let lines = whole[..cut].split(|&byte| byte == b'\n').count() - 1;
        let (mut ledger, found) = Ledger::open::<Answer>(&path, &manifest()).unwrap();
        let kept = lines.saturating_sub(1) as u32;
        prop_assert_eq!(found, (0..kept).map(answer).collect::<Vec<_>>());
        (kept..4).for_each(|key| ledger.append(&answer(key)).unwrap());
        prop_assert_eq!(fs::read(&path).unwrap(), whole);
    }
}
