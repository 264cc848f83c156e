//! What is wrong is said with its place, or left out with its reason.

use tamis_dataset::{Dataset, DatasetError, ReadOptions};

use crate::support::{Folder, ids, skipping};

const GOOD: &str = "{\"id\": \"good\", \"instruction\": \"a\", \"output\": \"b\"}\n";

/// Opens strictly a good row, a blank line and a bad row; the message must say all of `parts`.
fn refused(bad: impl AsRef<[u8]>, parts: &[&str]) {
    let mut bytes = format!("{GOOD}\n").into_bytes();
    bytes.extend_from_slice(bad.as_ref());
    let folder = Folder::new();
    let message = folder.open("pool.jsonl", &bytes).unwrap_err().to_string();
    for part in ["pool.jsonl, line 3", "Skip"].iter().chain(parts) {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    let data = folder.open_skipping("pool.jsonl", &bytes).unwrap();
    assert_eq!(ids(&data), ["good"]);
    assert_eq!(data.rejects().len(), 1);
    assert_eq!(data.rejects()[0].line, 3);
    assert!(message.contains(&data.rejects()[0].to_string()), "{message}");
}

#[test]
fn rows_that_are_not_json() {
    refused("{\"instruction\": \"a\", \"output\": \"b\"", &["not valid JSON", "column"]);
    refused("not json", &["not valid JSON"]);
    refused("[1]", &["expected an object, found a list"]);
}

#[test]
fn missing_and_mistyped_fields() {
    refused(
        "{\"instruction\": \"a\", \"response\": \"b\"}",
        &["field `output`: missing", "instruction, response"],
    );
    refused(
        "{\"instruction\": \"a\", \"output\": 3}",
        &["field `output`", "expected a string, found a number"],
    );
    refused(
        "{\"instruction\": \"a\", \"input\": {}, \"output\": \"b\"}",
        &["field `input`", "found an object"],
    );
    refused("{\"instruction\": null, \"output\": \"b\"}", &["field `instruction`", "found null"]);
}

#[test]
fn invalid_utf8_is_placed_to_the_byte() {
    let prefix = GOOD.len() + 1;
    let row = b"{\"instruction\": \"a\xC3(\", \"output\": \"b\"}";
    let byte = format!("byte {} of the file", prefix + 18);
    refused(row, &[&byte, "byte 18 of the row", "0xC3"]);
    // A surrogate written out, as some exporters do, is no text either.
    refused("{\"instruction\": \"\\ud83d\", \"output\": \"b\"}", &["not valid JSON"]);
}

#[test]
fn turns_are_checked_one_by_one() {
    let good = "{\"id\": \"good\", \"conversations\": [{\"from\": \"gpt\", \"value\": \"a\"}]}\n";
    for (bad, part) in [
        ("[]", "field `conversations`: the list of turns is empty"),
        ("\"hi\"", "expected a list of turns, found a string"),
        (
            "[{\"from\": \"human\", \"value\": \"a\"}, {\"from\": \"tool\", \"value\": \"b\"}]",
            "field `conversations[1].from`: `tool`",
        ),
        ("[{\"from\": \"human\"}]", "field `conversations[0].value`: missing"),
        ("[{\"from\": 1, \"value\": \"x\"}]", "field `conversations[0].from`: expected a string"),
        ("[7]", "field `conversations[0].from`: missing"),
    ] {
        let text = format!("{good}{{\"conversations\": {bad}}}\n");
        let message = Folder::new().open("s.jsonl", text).unwrap_err().to_string();
        assert!(message.contains("s.jsonl, line 2"), "{message}");
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn tsv_rows_have_two_columns() {
    let folder = Folder::new();
    let text = "a\tb\nno tab\na\tb\tc\n";
    let message = folder.open("t.tsv", text).unwrap_err().to_string();
    assert!(message.contains("line 2") && message.contains("found 1 tab-separated columns"));
    let data = folder.open_skipping("t.tsv", text).unwrap();
    assert_eq!((data.len(), data.rejects().len()), (1, 2));
}

#[test]
fn skipping_keeps_row_numbers() {
    let text = format!("oops\n{GOOD}{{}}\n{{\"instruction\": \"x\", \"output\": \"y\"}}\n");
    let data = Folder::new();
    let data = data.open_skipping("a.jsonl", text).unwrap();
    let rows = data.read_range(0..2).unwrap();
    assert_eq!((rows[0].index, rows[1].index), (1, 3));
    let lines: Vec<u64> = data.rejects().iter().map(|reject| reject.line).collect();
    assert_eq!(lines, [1, 3]);
}

#[test]
fn empty_files() {
    let folder = Folder::new();
    for (name, text) in [
        ("a.jsonl", ""),
        ("a.jsonl", "\u{feff}\n \r\n"),
        ("a.json", "[]"),
        ("a.json", " [ ] \n"),
        ("a.tsv", "\n"),
        ("a.tsv", "src\ttgt\n"),
    ] {
        let error = folder.open(name, text).unwrap_err();
        assert!(matches!(error, DatasetError::Empty(_)), "{name} {text:?}: {error}");
    }
    let (one, two) = (folder.file("x.de", ""), folder.file("x.en", ""));
    let error = Dataset::open_parallel(one, two, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, DatasetError::Empty(_)));
}

#[test]
fn nothing_left_after_skipping() {
    let text = "{\"src\": 1, \"tgt\": \"x\"}\n{\"src\": 2, \"tgt\": \"x\"}\n";
    let folder = Folder::new();
    match folder.open_skipping("a.jsonl", text).unwrap_err() {
        DatasetError::AllRejected { count, first, .. } => assert_eq!((count, first.line), (2, 1)),
        other => panic!("{other}"),
    }
}

#[test]
fn formats_that_cannot_be_told() {
    let folder = Folder::new();
    let message =
        folder.open("a.jsonl", "{\"question\": 1, \"answer\": 2}\n").unwrap_err().to_string();
    for part in ["question, answer", "line 1", "alpaca-json", "parallel-text", "Fields"] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    let message = folder.open("a.txt", "plain text\n").unwrap_err().to_string();
    assert!(message.contains("extension is `txt`"), "{message}");
    // What claims to be JSON is named by line, not by guesses about formats.
    let message = folder.open("a.jsonl", "{\"src\": \"a\n").unwrap_err().to_string();
    assert!(message.contains("line 1: not valid JSON"), "{message}");
}

#[test]
fn arrays_that_break_off() {
    let row = "{\"instruction\": \"a\", \"output\": \"b\"}";
    for (text, part) in [
        (format!("[{row},\n{row}"), "`]` is missing"),
        (format!("[{row},\n{{\"instruction\": \"a"), "`]` is missing"),
        (format!("[{row},]"), "a row was expected"),
        (format!("[{row},,{row}]"), "a row was expected"),
        (format!("[{row}] {row}"), "text after the end"),
        (format!("[{row}\n{row}]"), "not valid JSON"),
        (format!("[{row}, 3]"), "expected an object, found a number"),
    ] {
        let message = Folder::new().open("a.json", &text).unwrap_err().to_string();
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn a_bad_element_of_an_array_has_a_line_and_can_be_skipped() {
    let text = "[\n  {\"instruction\": \"a\", \"output\": \"b\"},\n  {\n    \"instruction\": 1,\n    \"output\": \"b\"\n  },\n  {\"instruction\": \"c\", \"output\": \"d\"}\n]";
    let folder = Folder::new();
    let message = folder.open("a.json", text).unwrap_err().to_string();
    assert!(message.contains("a.json, line 3, field `instruction`"), "{message}");
    let data = folder.open_skipping("a.json", text).unwrap();
    assert_eq!((data.len(), data.rejects()[0].line), (2, 3));
}

#[test]
fn missing_files_and_files_that_change() {
    let folder = Folder::new();
    let error = Dataset::open(folder.path().join("no.jsonl"), &skipping()).unwrap_err();
    assert!(error.to_string().contains("no.jsonl"), "{error}");

    let data = folder.open("a.jsonl", GOOD).unwrap();
    folder.file("a.jsonl", GOOD.repeat(2));
    for error in [
        data.read_range(0..1).map(|_| ()).unwrap_err(),
        data.write_rows(&[0], folder.path(), "out").map(|_| ()).unwrap_err(),
    ] {
        assert!(matches!(error, DatasetError::Changed { .. }), "{error}");
    }
    assert!(!folder.path().join("out.jsonl").exists());
}

#[test]
fn parallel_files_name_the_one_at_fault() {
    let folder = Folder::new();
    let source = folder.file("x.de", "eins\nzwei\n");
    let target = folder.file("x.en", b"one\nt\xFFo\n");
    let message =
        Dataset::open_parallel(&source, &target, &ReadOptions::default()).unwrap_err().to_string();
    assert!(
        message.contains("x.en, line 2") && message.contains("byte 5 of the file"),
        "{message}"
    );
    let data = Dataset::open_parallel(&source, &target, &skipping()).unwrap();
    assert_eq!((data.len(), data.rejects().len()), (1, 1));
}
