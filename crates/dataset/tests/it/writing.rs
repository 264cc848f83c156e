//! Chosen rows are given back as they came.

use std::fs;

use proptest::prelude::*;
use tamis_dataset::{Dataset, ReadOptions};

use crate::support::{Folder, all, ids};

const ROWS: [&str; 4] = [
    r#"{"instruction":  "a" ,"output":"b\u00e9 é", "n": 1.50, "z": {"b": 1, "a": [ ]}}"#,
    r#" {"output": "2", "instruction": "🚲 \/", "x": 1e3} "#,
    r#"{"instruction": "c", "output": "", "input": null}"#,
    r#"{"instruction": "a", "output": "again"}"#,
];

#[test]
fn json_lines_byte_for_byte_in_the_order_asked_for() {
    let folder = Folder::new();
    let text = format!("\u{feff}{}\r\n\r\n{}\n{}\n{}", ROWS[0], ROWS[1], ROWS[2], ROWS[3]);
    let data = folder.open("a.jsonl", text).unwrap();
    let out = folder.path().join("new/folder");
    let files = data.write_rows(&[3, 0, 1], &out, "chosen").unwrap();
    assert_eq!(files, [out.join("chosen.jsonl")]);
    let written = fs::read_to_string(&files[0]).unwrap();
    assert_eq!(written, format!("{}\n{}\n{}\n", ROWS[3], ROWS[0], ROWS[1]));
    // Nothing else is left in the folder.
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);

    let none = data.write_rows(&[], &out, "none").unwrap();
    assert_eq!(fs::read(&none[0]).unwrap(), b"");
}

#[test]
fn array_elements_one_a_line_with_keys_and_numbers_as_spelt() {
    let folder = Folder::new();
    let text = "[ {\"instruction\": \"a\\\" \\\\ b\",\n   \"output\" :\t\"x  y\", \"n\": 1.50 , \"b\": 1e3, \"a\": [ 1, 2 ]\r\n} ,\n{\"instruction\":\"c\",\"output\":\"d\"}]";
    let data = folder.open("a.json", text).unwrap();
    let files = data.write_rows(&[1, 0], folder.path(), "out").unwrap();
    assert_eq!(
        fs::read_to_string(&files[0]).unwrap(),
        "{\"instruction\":\"c\",\"output\":\"d\"}\n{\"instruction\":\"a\\\" \\\\ b\",\"output\":\"x  y\",\"n\":1.50,\"b\":1e3,\"a\":[1,2]}\n"
    );
    let again = Dataset::open(&files[0], &ReadOptions::default()).unwrap();
    assert_eq!(ids(&again), [ids(&data)[1].clone(), ids(&data)[0].clone()]);
}

#[test]
fn tab_separated_rows_and_their_rendering() {
    let folder = Folder::new();
    let data = folder.open("t.tsv", "src\ttgt\neins \tone\r\neins \tone\nzw\"ei\ttwo\n").unwrap();
    let files = data.write_rows(&[2, 1], folder.path(), "out").unwrap();
    assert_eq!(files, [folder.path().join("out.jsonl"), folder.path().join("out.tsv")]);
    assert_eq!(fs::read_to_string(&files[1]).unwrap(), "src\ttgt\nzw\"ei\ttwo\neins \tone\n");
    // The rendering keeps names, even that of a copy.
    let rendered = Dataset::open(&files[0], &ReadOptions::default()).unwrap();
    for (row, original) in all(&rendered).into_iter().zip([2, 1]) {
        let original = &all(&data)[original];
        assert_eq!((row.id, row.content), (original.id.clone(), original.content.clone()));
    }
}

#[test]
fn parallel_lines_go_back_into_two_files() {
    let folder = Folder::new();
    let source = folder.file("x.de", "eins\n\n  drei");
    let target = folder.file("x.en", "one\ntwo\nthree\t\n");
    let data = Dataset::open_parallel(&source, &target, &ReadOptions::default()).unwrap();
    let files = data.write_rows(&[2, 1], folder.path(), "out").unwrap();
    let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap()).collect();
    assert_eq!(names, ["out.jsonl", "out.source.txt", "out.target.txt"]);
    assert_eq!(fs::read_to_string(&files[1]).unwrap(), "  drei\n\n");
    assert_eq!(fs::read_to_string(&files[2]).unwrap(), "three\t\ntwo\n");
    let again = Dataset::open_parallel(&files[1], &files[2], &ReadOptions::default()).unwrap();
    assert_eq!(all(&again)[0].content, all(&data)[2].content);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    let data = folder.open("a.jsonl", ROWS[0]).unwrap();
    let in_the_way = folder.file("occupied", "");
    let error = data.write_rows(&[0], &in_the_way, "out").unwrap_err().to_string();
    assert!(error.contains("occupied"), "{error}");
    let error = data.write_rows(&[1], folder.path(), "out").unwrap_err().to_string();
    assert!(error.contains("row 1") && error.contains("1 accepted"), "{error}");
}

proptest! {
    /// Whatever rows, whatever the layout: what is written is what was there.
    #[test]
    fn any_choice_of_any_rows(
        texts in prop::collection::vec((".{0,12}", ".{0,12}"), 1..12),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        array in any::<bool>(),
    ) {
        let rows: Vec<String> = texts
            .iter()
            .map(|(s, t)| serde_json::json!({"src": s, "tgt": t}).to_string())
            .collect();
        let text = if array { format!("[{}]", rows.join(" ,\n ")) } else { rows.join("\n") };
        let folder = Folder::new();
        let data = folder.open("a.json", text).unwrap();
        let picks: Vec<usize> = picks.iter().map(|pick| pick.index(rows.len())).collect();
        let files = data.write_rows(&picks, folder.path(), "out").unwrap();
        let expected: String = picks.iter().map(|&i| format!("{}\n", rows[i])).collect();
        prop_assert_eq!(fs::read_to_string(&files[0]).unwrap(), expected);
    }
}
