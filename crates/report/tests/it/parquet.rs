//! Tables as Parquet, read back.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Serialize;
use serde_json::{Value, json};
use tamis_report::write_parquet;

fn read(path: &Path) -> Vec<RecordBatch> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    builder.build().unwrap().map(Result::unwrap).collect()
}

/// The rows as JSON, the columns by their names.
fn rows(path: &Path) -> Vec<Value> {
    let mut rows = Vec::new();
    for batch in read(path) {
        for row in 0..batch.num_rows() {
            let mut found = serde_json::Map::new();
            for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
                let value = if column.is_null(row) {
                    Value::Null
                } else {
                    match field.data_type() {
                        DataType::Boolean => json!(column.as_boolean().value(row)),
                        DataType::Int64 => json!(column.as_primitive::<Int64Type>().value(row)),
                        DataType::Float64 => json!(column.as_primitive::<Float64Type>().value(row)),
                        DataType::Utf8 => json!(column.as_string::<i32>().value(row)),
                        other => panic!("column {} is {other}", field.name()),
                    }
                };
                found.insert(field.name().clone(), value);
            }
            rows.push(Value::Object(found));
        }
    }
    rows
}

#[derive(Serialize)]
struct Line {
    id: String,
    index: usize,
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'static str>,
    tasks: BTreeMap<&'static str, f32>,
    selected: bool,
    never: Option<u8>,
}

#[test]
fn fields_become_typed_columns_and_maps_one_for_each_entry() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scores.parquet");
    let lines: Vec<Line> = (0..20_000)
        .map(|n| Line {
            id: format!("row \"{n}\""),
            index: n,
            score: (n % 3 != 0).then_some(n as f64 / 7.0),
            group: (n % 5 == 4).then_some("code"),
            tasks: [("translation", n as f32 / 3.0), ("sums", 2.0)][..=n % 2]
                .iter()
                .copied()
                .collect(),
            selected: n % 2 == 0,
            never: None,
        })
        .collect();
    assert_eq!(write_parquet(&path, &lines).unwrap(), 20_000);
    let schema = read(&path)[0].schema();
    let columns: Vec<(&str, &DataType)> =
        schema.fields().iter().map(|field| (field.name().as_str(), field.data_type())).collect();
    assert_eq!(
        columns,
        [
            ("id", &DataType::Utf8),
            ("index", &DataType::Int64),
            ("score", &DataType::Float64),
            ("tasks.translation", &DataType::Float64),
            ("tasks.sums", &DataType::Float64),
            ("selected", &DataType::Boolean),
            ("never", &DataType::Utf8),
            ("group", &DataType::Utf8),
        ]
    );
    let found = rows(&path);
    assert_eq!(found.len(), lines.len());
    for (line, row) in lines.iter().zip(found) {
        assert_eq!(
            row,
            json!({
                "id": line.id, "index": line.index, "score": line.score,
                "tasks.translation": line.tasks["translation"], "tasks.sums": line.tasks.get("sums"),
                "selected": line.selected, "never": null, "group": line.group,
            })
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn whatever_has_no_one_type_is_json_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let lines = [
        json!({"list": [1, "a"], "mixed": 1, "number": 1, "big": u64::MAX, "object": {"a": 1}, "empty": {}}),
        json!({"list": null, "mixed": "x", "number": 0.5, "big": 1, "object": "none", "late": true}),
    ];
    write_parquet(&path, &lines).unwrap();
    assert_eq!(
        rows(&path),
        [
            json!({
                "list": "[1,\"a\"]", "mixed": "1", "number": 1.0, "big": u64::MAX.to_string(),
                "object": "{\"a\":1}", "late": null,
            }),
            json!({
                "list": null, "mixed": "\"x\"", "number": 0.5, "big": "1",
                "object": "\"none\"", "late": true,
            }),
        ]
    );
}

#[test]
fn what_no_table_can_hold_is_refused_and_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    fs::write(&path, "before").unwrap();
    let number = |value: f64| BTreeMap::from([("score", value)]);
    let error = write_parquet(&path, &[number(0.0), number(f64::NAN)]).unwrap_err().to_string();
    assert!(error.contains("row 1") && error.contains("NaN"), "{error}");
    let error = write_parquet(&path, &[json!([1])]).unwrap_err().to_string();
    assert!(error.contains("row 0 is a list"), "{error}");
    let error = write_parquet(&path, &[json!({"a.b": 1, "a": {"b": 2}})]).unwrap_err().to_string();
    assert!(error.contains("`a.b`"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    // No rows, no columns: still a file.
    write_parquet::<Value>(&path, &[]).unwrap();
    assert!(rows(&path).is_empty());
}
