//! The same rows, whatever they are kept in, are the same samples.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, Int64Array, ListArray, RecordBatch, StringArray, StructArray};
use arrow_schema::Field;
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use tamis_dataset::{Content, Dataset, DatasetError, Format, ReadOptions, Sample};

use crate::support::{Folder, all, instruction, pair, talk};

/// Rows of one kind, and what they must be read as.
struct Kind {
    name: &'static str,
    rows: Vec<Value>,
    contents: Vec<Content>,
    /// The formats that may be stated of a JSON array, of lines, and of Parquet.
    array: &'static str,
    lines: &'static str,
    parquet: &'static [&'static str],
}

fn kinds() -> Vec<Kind> {
    vec![
        Kind {
            name: "alpaca",
            rows: vec![
                json!({"id": 7, "instruction": "Zähle", "input": "1 2", "output": "3 🚲"}),
                json!({"id": null, "instruction": "Say\thi", "input": null, "output": "hi"}),
                json!({"id": null, "instruction": "Say", "input": "", "output": ""}),
            ],
            contents: vec![
                instruction("Zähle", "1 2", "3 🚲"),
                instruction("Say\thi", "", "hi"),
                instruction("Say", "", ""),
            ],
            array: "alpaca-json",
            lines: "alpaca-jsonl",
            parquet: &["parquet"],
        },
        Kind {
            name: "translation",
            rows: vec![
                json!({"id": null, "src": "eins", "tgt": "one"}),
                json!({"id": null, "src": "zwei \"", "tgt": " two"}),
                json!({"id": null, "src": "eins", "tgt": "one"}),
            ],
            contents: vec![pair("eins", "one"), pair("zwei \"", " two"), pair("eins", "one")],
            array: "translation-jsonl",
            lines: "translation-jsonl",
            parquet: &["parquet"],
        },
        Kind {
            name: "text",
            rows: vec![json!({"text": "Once\nupon"}), json!({"text": "a time"})],
            contents: vec![instruction("", "", "Once\nupon"), instruction("", "", "a time")],
            array: "text-jsonl",
            lines: "text-jsonl",
            parquet: &["parquet"],
        },
        Kind {
            name: "messages",
            rows: vec![
                json!({"id": 1, "messages": [
                    {"role": "system", "content": "Be brief"},
                    {"role": "user", "content": "a"},
                    {"role": "assistant", "content": "b"},
                ], "text": "the same, flat"}),
                json!({"id": 2, "messages": [{"role": "tool", "content": ""}], "text": ""}),
            ],
            contents: vec![
                talk(&[("system", "Be brief"), ("user", "a"), ("assistant", "b")]),
                talk(&[("tool", "")]),
            ],
            array: "messages",
            lines: "messages",
            parquet: &["parquet", "messages"],
        },
        Kind {
            name: "share-gpt",
            rows: vec![
                json!({"conversations": [
                    {"from": "human", "value": "a"}, {"from": "gpt", "value": "b"},
                ]}),
                json!({"conversations": [{"from": "system", "value": "c"}]}),
            ],
            contents: vec![talk(&[("user", "a"), ("assistant", "b")]), talk(&[("system", "c")])],
            array: "share-gpt",
            lines: "share-gpt",
            parquet: &["parquet", "share-gpt"],
        },
    ]
}

/// A column of these values: texts, integers, or lists of objects of texts.
fn column(values: &[&Value]) -> ArrayRef {
    if values.iter().any(|value| value.is_array()) {
        let lists: Vec<&Vec<Value>> =
            values.iter().map(|value| value.as_array().unwrap()).collect();
        let turns: Vec<&Value> = lists.iter().flat_map(|list| list.iter()).collect();
        let keys: Vec<&String> = turns[0].as_object().unwrap().keys().collect();
        let parts = keys.iter().map(|&key| {
            let part = column(&turns.iter().map(|turn| &turn[key]).collect::<Vec<_>>());
            (Arc::new(Field::new(key, part.data_type().clone(), true)), part)
        });
        let turns = StructArray::from(parts.collect::<Vec<_>>());
        let item = Arc::new(Field::new("item", turns.data_type().clone(), true));
        // Lists of numbers that are as long, for their offsets.
        let shape = lists.iter().map(|list| Some(list.iter().map(|_| Some(0))));
        let shape = ListArray::from_iter_primitive::<Int32Type, _, _>(shape);
        return Arc::new(ListArray::new(item, shape.offsets().clone(), Arc::new(turns), None));
    }
    if values.iter().any(|value| value.is_i64()) {
        return Arc::new(values.iter().map(|value| value.as_i64()).collect::<Int64Array>());
    }
    Arc::new(values.iter().map(|value| value.as_str()).collect::<StringArray>())
}

fn write_parquet(path: &Path, rows: &[Value]) {
    let keys: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    let columns = keys.iter().map(|&key| {
        (key.as_str(), column(&rows.iter().map(|row| &row[key]).collect::<Vec<_>>()), true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn stated(format: &str) -> ReadOptions {
    ReadOptions { format: Some(format.parse().unwrap()), ..ReadOptions::default() }
}

/// Every way in which the rows of a kind are kept and opened, with its name.
fn readings(folder: &Folder, kind: &Kind) -> Vec<(String, Result<Dataset, DatasetError>)> {
    let file = |name: &str, text: String| folder.file(&format!("{}{name}", kind.name), text);
    let lines = kind.rows.iter().map(|row| format!("{row}\n")).collect::<String>();
    let parquet = |name: &str| -> PathBuf {
        let path = folder.path().join(format!("{}{name}", kind.name));
        write_parquet(&path, &kind.rows);
        path
    };
    let files = [
        (file(".json", Value::from(kind.rows.clone()).to_string()), vec![kind.array]),
        (file(".jsonl", lines), vec![kind.lines]),
        (parquet(".parquet"), kind.parquet.to_vec()),
        // Its first bytes tell where the name does not.
        (parquet("-without-extension"), kind.parquet.to_vec()),
    ];
    let mut readings = Vec::new();
    for (path, formats) in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        readings.push((name.clone(), Dataset::open(&path, &ReadOptions::default())));
        for format in formats {
            readings.push((format!("{name} as {format}"), Dataset::open(&path, &stated(format))));
        }
    }
    if kind.name == "translation" {
        let side = |key: &str| {
            kind.rows.iter().map(|row| format!("{}\n", row[key].as_str().unwrap())).collect()
        };
        let (source, target): (String, String) = (side("src"), side("tgt"));
        let both: String =
            source.lines().zip(target.lines()).map(|(s, t)| format!("{s}\t{t}\n")).collect();
        let (source, target) = (file(".de", source), file(".en", target));
        let tsv = file(".tsv", both);
        for (name, options) in
            [("detected", ReadOptions::default()), ("stated", stated("parallel-text"))]
        {
            readings.push((
                format!("parallel {name}"),
                Dataset::open_parallel(&source, &target, &options),
            ));
        }
        readings.push(("tsv".into(), Dataset::open(&tsv, &ReadOptions::default())));
        readings.push(("tsv stated".into(), Dataset::open(&tsv, &stated("tsv"))));
    }
    readings
}

#[test]
fn the_same_rows_are_the_same_samples() {
    let folder = Folder::new();
    let mut faults = Vec::new();
    for kind in kinds() {
        let mut first: Option<Vec<Sample>> = None;
        for (name, data) in readings(&folder, &kind) {
            let data = match data {
                Ok(data) => data,
                Err(error) => {
                    faults.push(format!("{name}: {error}"));
                    continue;
                }
            };
            let samples = all(&data);
            let contents: Vec<Content> =
                samples.iter().map(|sample| sample.content.clone()).collect();
            if contents != kind.contents {
                faults.push(format!("{name}: {contents:?}"));
            }
            let backwards: Vec<usize> = (0..data.len()).rev().collect();
            let mut again = data.read(&backwards).unwrap();
            again.reverse();
            assert_eq!(again, samples, "{name}");
            // Ids and rows as well as texts.
            let first = first.get_or_insert_with(|| samples.clone());
            if *first != samples {
                faults.push(format!("{name}: {samples:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_stated_format_that_parquet_does_not_have() {
    let folder = Folder::new();
    let path = folder.path().join("a.parquet");
    write_parquet(&path, &[json!({"text": "a"})]);
    let message = Dataset::open(&path, &stated("alpaca-jsonl")).unwrap_err().to_string();
    assert!(message.contains("is a Parquet file") && message.contains("alpaca-jsonl"), "{message}");
    let message = Dataset::open(&path, &stated("messages")).unwrap_err().to_string();
    assert!(message.contains("needs a column messages"), "{message}");
    assert_eq!(Dataset::open(&path, &ReadOptions::default()).unwrap().format(), Format::Parquet);
}

#[test]
fn columns_that_hold_no_turns() {
    let folder = Folder::new();
    let path = folder.path().join("a.parquet");
    for row in [json!({"messages": "a"}), json!({"messages": [{"from": "a", "value": "b"}]})] {
        write_parquet(&path, &[row]);
        let message = Dataset::open(&path, &ReadOptions::default()).unwrap_err().to_string();
        assert!(
            message.contains("column `messages`") && message.contains("`role` and `content`"),
            "{message}"
        );
    }
    write_parquet(&path, &[json!({"messages": [{"role": "user", "content": 3}]})]);
    let message = Dataset::open(&path, &ReadOptions::default()).unwrap_err().to_string();
    assert!(message.contains("messages[0].content") && message.contains("number"), "{message}");
}
