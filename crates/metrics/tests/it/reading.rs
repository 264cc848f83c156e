//! Files of segments and of scores.

use std::fs;
use std::path::PathBuf;

use tamis_metrics::{MetricsError, SegmentScores, read_segments};
use tempfile::TempDir;

/// A file with these bytes.
fn file(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The error must name the file and have all parts.
fn says<T: std::fmt::Debug>(result: Result<T, MetricsError>, parts: &[&str]) {
    let text = result.unwrap_err().to_string();
    for part in parts {
        assert!(text.contains(part), "`{text}` does not say `{part}`");
    }
}

#[test]
fn segments() {
    let folder = folder();
    let read = |bytes: &[u8]| read_segments(file(&folder, "s.txt", bytes)).unwrap();
    assert_eq!(read(b"a\nb\n"), ["a", "b"]);
    assert_eq!(read(b"a\nb"), ["a", "b"]);
    assert_eq!(read(b"\n"), [""]);
    assert_eq!(read(b"\n\na\n\n"), ["", "", "a", ""]);
    assert_eq!(read(b"a\r\nb \r\n\r\n"), ["a", "b ", ""]);
    assert_eq!(read("\u{feff}a\n\u{feff}b\n".as_bytes()), ["a", "\u{feff}b"]);
    // Other breaks are part of a line.
    assert_eq!(read("a\u{2028}b\u{85}c\rd\n".as_bytes()), ["a\u{2028}b\u{85}c\rd"]);
    assert_eq!(read("中文\n👍🏽\nעברית\n".as_bytes()), ["中文", "👍🏽", "עברית"]);
}

#[test]
fn segments_that_cannot_be_read() {
    let folder = folder();
    says(read_segments(folder.path().join("none.txt")), &["none.txt", "cannot read"]);
    for empty in ["", "\u{feff}"] {
        says(
            read_segments(file(&folder, "e.txt", empty)),
            &["e.txt", "empty", "one segment a line"],
        );
    }
    let path = file(&folder, "latin1.txt", b"ok\nok too\nStra\xdfe\n");
    says(read_segments(path), &["latin1.txt, line 3", "byte 5", "UTF-8"]);
}

#[test]
fn scores() {
    let folder = folder();
    let read = |text: &str| SegmentScores::read(file(&folder, "s", text)).unwrap();
    let plain = read("0.5\n-1e-3\r\n 7 \n");
    assert_eq!((plain.scores(), plain.ids()), (&[0.5, -1e-3, 7.0][..], None));
    let rows = read("{\"score\": 1, \"model\": \"x\"}\n{\"score\": 0.25}\n");
    assert_eq!((rows.scores(), rows.ids()), (&[1.0, 0.25][..], None));
    let named = read("{\"id\": \"b\", \"score\": 1}\n{\"id\": 7, \"score\": 2}\n");
    assert_eq!(named.ids().unwrap(), ["b", "7"]);
    assert_eq!(named.in_order(&["7", "b"]).unwrap(), [2.0, 1.0]);
    assert_eq!(plain.in_order(&["x", "y", "z"]).unwrap(), plain.scores());
    let other = read("{\"id\": \"7\", \"score\": 20}\n{\"id\": \"b\", \"score\": 10}\n");
    assert_eq!(named.paired(&other).unwrap(), (vec![1.0, 2.0], vec![10.0, 20.0]));
    assert_eq!(named.paired(&read("3\n4\n")).unwrap(), (vec![1.0, 2.0], vec![3.0, 4.0]));
    named.expect_count(2, "lines").unwrap();
}

#[test]
fn scores_that_cannot_be_read() {
    let folder = folder();
    let refuses = |text: &str, parts: &[&str]| {
        let read = SegmentScores::read(file(&folder, "s.jsonl", text));
        says(read, &[&["s.jsonl"], parts].concat());
    };
    refuses("", &["empty", "one score"]);
    refuses("1\n\n2\n", &["line 2", "``"]);
    refuses("1\nx\n", &["line 2", "`x`", "not a number"]);
    refuses("0.5 0.6\n", &["line 1", "`0.5 0.6`"]);
    refuses("1\nnan\n", &["line 2", "NaN", "finite"]);
    refuses("1e999\n", &["line 1", "inf", "finite"]);
    refuses("{\"score\": 1}\n{\"score\": 1\n", &["line 2", "JSON"]);
    refuses("{\"id\": \"a\"}\n", &["line 1", "no `score`"]);
    refuses("{\"score\": \"1\"}\n", &["line 1", "`score` is \"1\""]);
    refuses("{\"score\": null}\n", &["line 1", "`score` is null"]);
    refuses("{\"score\": 1, \"id\": []}\n", &["line 1", "`id` is []"]);
    refuses(
        "{\"score\": 1, \"id\": 4}\n{\"score\": 1, \"id\": \"4\"}\n",
        &["line 2", "`4`", "line 1"],
    );
    refuses("{\"score\": 1, \"id\": 4}\n{\"score\": 1}\n", &["line 2", "no id"]);
    refuses("1\n{\"score\": 1, \"id\": 4}\n", &["line 2", "an id"]);
}

#[test]
fn scores_that_do_not_belong_together() {
    let folder = folder();
    let read = |name: &str, text: &str| SegmentScores::read(file(&folder, name, text)).unwrap();
    let (two, three) = (read("two", "1\n2\n"), read("three", "1\n2\n3\n"));
    says(two.paired(&three).map(|_| ()), &["3 scores", "three", "2 scores", "two"]);
    says(two.expect_count(5, "lines of hyp.txt"), &["2 scores", "two", "5 lines of hyp.txt"]);
    says(two.in_order(&["a"]), &["2 scores", "1 segments"]);
    let named = read("named", "{\"id\": \"a\", \"score\": 1}\n{\"id\": \"b\", \"score\": 2}\n");
    says(named.in_order(&["a", "c"]), &["named, line 2", "`b`"]);
    let other = read("other", "{\"id\": \"a\", \"score\": 1}\n{\"id\": \"c\", \"score\": 2}\n");
    says(named.paired(&other).map(|_| ()), &["`c`", "other", "named"]);
}
