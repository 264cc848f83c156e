//! `write_jsonl`: what is refused, what stays, what can be read back.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use tamis_report::{ReportError, find_non_finite, write_jsonl};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    id: String,
    mean: Option<f64>,
    per_seed: Vec<f32>,
}

fn row(id: &str, mean: Option<f64>, per_seed: &[f32]) -> Row {
    Row { id: id.to_owned(), mean, per_seed: per_seed.to_vec() }
}

#[test]
fn rows_come_back_and_none_is_null() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.jsonl");
    let rows = [row("a", Some(0.5), &[1.0, -2.5]), row("line\nbreak \u{2028} <&>", None, &[])];
    assert_eq!(write_jsonl(&path, &rows).unwrap(), 2);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.ends_with('\n') && text.contains(r#""mean":null"#));
    let back: Vec<Row> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(back, rows);
}

#[test]
fn nan_is_refused_by_row_and_field_and_the_old_file_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.jsonl");
    write_jsonl(&path, [1, 2, 3]).unwrap();
    for (rows, field, value) in [
        (vec![row("a", None, &[]), row("b", Some(f64::NAN), &[])], "mean", "NaN"),
        (
            vec![row("a", None, &[]), row("b", None, &[0.0, f32::NEG_INFINITY])],
            "per_seed[1]",
            "-inf",
        ),
    ] {
        let error = write_jsonl(&path, rows).unwrap_err();
        let message = error.to_string();
        for part in ["scores.jsonl", "row 1 (id `b`)", field, value] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
        assert!(matches!(error, ReportError::NonFinite { .. }));
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n2\n3\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "litter");
    }
}

#[test]
fn nothing_appears_before_the_last_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.jsonl");
    let rows = (0..10_000).inspect(|_| assert!(!path.exists()));
    write_jsonl(&path, rows).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 10_000);
}

#[test]
fn a_killed_writer_leaves_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.jsonl");
    write_jsonl(&path, ["old"]).unwrap();
    // What `kill -9` leaves behind: a part without a rename.
    fs::write(dir.path().join(".scores.jsonl.tmp"), "half a r").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "\"old\"\n");
    write_jsonl(&path, ["new"]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "\"new\"\n");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "litter");
}

#[test]
fn disk_errors_name_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no-such-folder").join("scores.jsonl");
    let message = write_jsonl(&missing, [1]).unwrap_err().to_string();
    assert!(message.contains("no-such-folder"), "{message}");
    // A folder in the way: the rename fails.
    let blocked = dir.path().join("blocked");
    fs::create_dir_all(blocked.join("inside")).unwrap();
    let message = write_jsonl(&blocked, [1]).unwrap_err().to_string();
    assert!(message.contains("cannot write") && message.contains("blocked"), "{message}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "litter");
    assert!(write_jsonl("/", [1]).is_err());
}

#[test]
fn raw_line_breaks_do_not_split_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("raw.jsonl");
    let raw: Box<serde_json::value::RawValue> =
        serde_json::from_str("{\n \"text\": \"a\\nb\"\n}").unwrap();
    write_jsonl(&path, [raw]).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 1);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["text"], "a\nb");
}

#[derive(Serialize)]
enum Shape {
    Unit,
    New(f64),
    Tuple(u8, f64),
    Struct { inner: Vec<f64> },
}

#[derive(Serialize)]
struct Pair(f64, f64);

#[derive(Serialize)]
struct Wrapper(Option<f64>);

/// Every kind of place in which serde can put a float.
#[test]
fn the_path_of_every_kind_of_field() {
    const BAD: f64 = f64::INFINITY;
    let field = |value: &dyn Fn() -> Option<tamis_report::NonFiniteCell>| value().map(|f| f.field);
    assert_eq!(find_non_finite(&BAD).unwrap().field, "");
    assert_eq!(field(&|| find_non_finite(&Shape::Unit)), None);
    assert_eq!(field(&|| find_non_finite(&Shape::New(BAD))).unwrap(), "New");
    assert_eq!(field(&|| find_non_finite(&Shape::Tuple(1, BAD))).unwrap(), "Tuple[1]");
    let inner = Shape::Struct { inner: vec![0.0, BAD] };
    assert_eq!(find_non_finite(&inner).unwrap().field, "Struct.inner[1]");
    assert_eq!(find_non_finite(&Pair(0.0, BAD)).unwrap().field, "[1]");
    assert_eq!(find_non_finite(&Wrapper(None)), None);
    assert_eq!(find_non_finite(&Wrapper(Some(BAD))).unwrap().field, "");
    let map = BTreeMap::from([("a", vec![(1, 0.0)]), ("b", vec![(1, 2.0), (2, BAD)])]);
    assert_eq!(find_non_finite(&map).unwrap().field, "b[1][1]");
    let by_number = BTreeMap::from([(7_u8, BAD)]);
    assert_eq!(find_non_finite(&by_number).unwrap().field, "7");
    // Large integers are no floats, and what follows them is still looked at.
    assert_eq!(find_non_finite(&(u128::MAX, i128::MIN, BAD)).unwrap().field, "[2]");
}

proptest! {
    /// The second witness: `serde_json` itself writes one null more for each non-finite float.
    #[test]
    fn refuses_exactly_what_json_would_turn_into_null(
        values in prop::collection::vec(prop::option::of(any::<f64>()), 0..20),
    ) {
        let nones = values.iter().filter(|v| v.is_none()).count();
        let nulls = serde_json::to_string(&values).unwrap().matches("null").count();
        prop_assert_eq!(find_non_finite(&values).is_some(), nulls > nones);
    }
}
