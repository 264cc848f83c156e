//! Parquet in and out.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Int64Array, LargeStringArray, ListArray, RecordBatch,
    StringArray, StringViewArray, StructArray, UInt64Array,
};
use arrow_schema::{DataType, Field};
use arrow_select::concat::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::properties::WriterProperties;
use serde_json::json;
use tamis_dataset::{Dataset, DatasetError, Fields, Format, ReadOptions};

use crate::support::{Folder, all, ids, instruction, pair, skipping};

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    // Small row groups, so that rows are found across them.
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(7)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties))
            .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn texts(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn open(path: &Path) -> Result<Dataset, DatasetError> {
    Dataset::open(path, &ReadOptions::default())
}

#[test]
fn alpaca_columns() {
    let folder = Folder::new();
    let path = folder.path().join("a.parquet");
    write(
        &path,
        vec![
            ("output", Arc::new(LargeStringArray::from(vec!["3", "é 🚲"]))),
            ("input", Arc::new(StringViewArray::from(vec![Some("1 2"), None]))),
            (
                "instruction",
                Arc::new(["Add", "Say"].into_iter().collect::<DictionaryArray<Int32Type>>()),
            ),
            ("id", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        ],
    );
    let data = open(&path).unwrap();
    assert_eq!(data.format(), Format::Parquet);
    let rows = all(&data);
    assert_eq!(rows[0].content, instruction("Add", "1 2", "3"));
    assert_eq!(rows[1].content, instruction("Say", "", "é 🚲"));
    let hash = rows[1].content.hash_id().to_string();
    assert_eq!(ids(&data), [u64::MAX.to_string(), hash]);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(data.content_hash(), blake3::hash(&bytes).to_hex().as_str());
}

#[test]
fn nested_translation_columns() {
    let folder = Folder::new();
    let path = folder.path().join("t.parquet");
    let inner = StructArray::from(vec![
        (Arc::new(Field::new("de", DataType::Utf8, true)), texts(&["eins", "zwei"])),
        (Arc::new(Field::new("en", DataType::Utf8, true)), texts(&["one", "two"])),
    ]);
    write(&path, vec![("translation", Arc::new(inner))]);
    let options = ReadOptions {
        fields: Fields {
            source: "translation.de".into(),
            target: "translation.en".into(),
            ..Fields::default()
        },
        ..ReadOptions::default()
    };
    let data = Dataset::open(&path, &options).unwrap();
    let contents: Vec<_> = all(&data).into_iter().map(|row| row.content).collect();
    assert_eq!(contents, [pair("eins", "one"), pair("zwei", "two")]);
}

#[test]
fn chosen_rows_with_all_their_columns() {
    let folder = Folder::new();
    let path = folder.path().join("p.parquet");
    let count = 3000;
    let source: Vec<String> = (0..count).map(|i| format!("quelle {}", i / 2)).collect();
    let target: Vec<String> = (0..count).map(|i| format!("source {}", i / 2)).collect();
    let extra: Vec<Option<i64>> = (0..count).map(|i| (i % 3 != 0).then_some(i)).collect();
    write(
        &path,
        vec![
            ("src", Arc::new(StringArray::from(source.clone()))),
            ("tgt", Arc::new(StringArray::from(target.clone()))),
            ("extra", Arc::new(Int64Array::from(extra.clone()))),
        ],
    );
    let data = open(&path).unwrap();
    assert_eq!(data.len(), 3000);
    let names = ids(&data);
    assert_eq!(names[2001], format!("{}#2", names[2000]));

    // Unordered, repeated, and more than are decoded at a time.
    let mut picks = vec![2999, 0, 2001, 5, 5, 1];
    picks.extend((0..1500).map(|i| (i * 7) % 3000));
    let out = folder.path().join("out");
    let files = data.write_rows(&picks, &out, "chosen").unwrap();
    assert_eq!(files, [out.join("chosen.jsonl"), out.join("chosen.parquet")]);

    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&files[1]).unwrap()).unwrap();
    let schema = reader.schema().clone();
    let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
    let written = concat_batches(&schema, &batches).unwrap();
    let expected = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(picks.iter().map(|&i| Some(source[i].as_str())).collect::<StringArray>()),
            Arc::new(picks.iter().map(|&i| Some(target[i].as_str())).collect::<StringArray>()),
            Arc::new(picks.iter().map(|&i| extra[i]).collect::<Int64Array>()),
        ],
    )
    .unwrap();
    assert_eq!(written, expected);

    // The rendering names the rows as they are named here. (A row chosen twice would be refused.)
    let files = data.write_rows(&picks[..4], &out, "few").unwrap();
    let few = open(&files[0]).unwrap();
    let expected: Vec<String> = picks[..4].iter().map(|&i| names[i].clone()).collect();
    assert_eq!(ids(&few), expected);
    assert_eq!(data.read_range(2998..3000).unwrap()[1].content, pair("quelle 1499", "source 1499"));
}

#[test]
fn what_cannot_be_read() {
    let folder = Folder::new();
    let path = folder.path().join("p.parquet");

    write(&path, vec![("question", texts(&["a"])), ("answer", texts(&["b"]))]);
    let message = open(&path).unwrap_err().to_string();
    assert!(message.contains("question, answer") && message.contains("src and tgt"), "{message}");

    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
    write(&path, vec![("src", texts(&["a"])), ("tgt", Arc::new(list))]);
    let message = open(&path).unwrap_err().to_string();
    assert!(message.contains("column `tgt`") && message.contains("expected text"), "{message}");

    let target: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
    write(&path, vec![("src", texts(&["a", "b"])), ("tgt", target)]);
    let message = open(&path).unwrap_err().to_string();
    assert!(
        message.contains("p.parquet, row 2, field `tgt`") && message.contains("null"),
        "{message}"
    );
    let data = Dataset::open(&path, &skipping()).unwrap();
    assert_eq!((data.len(), data.rejects().len()), (1, 1));

    write(&path, vec![("src", texts(&[])), ("tgt", texts(&[]))]);
    assert!(matches!(open(&path).unwrap_err(), DatasetError::Empty(_)));

    let message = open(&folder.file("q.parquet", "PAR1")).unwrap_err().to_string();
    assert!(message.contains("q.parquet as Parquet"), "{message}");
}

#[test]
fn a_column_that_no_row_needs() {
    let folder = Folder::new();
    let path = folder.path().join("g.parquet");
    let domain: DictionaryArray<Int32Type> = ["code", "talk", "code"].into_iter().collect();
    let inner = StructArray::from(vec![(
        Arc::new(Field::new("level", DataType::Int64, true)),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(3)])) as ArrayRef,
    )]);
    write(
        &path,
        vec![
            ("src", Arc::new(StringArray::from(vec![Some("a"), None, Some("c")]))),
            ("tgt", texts(&["x", "y", "z"])),
            ("domain", Arc::new(domain)),
            ("meta", Arc::new(inner)),
            ("good", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ],
    );
    // The row without a source is left out, and its fields with it.
    let data = Dataset::open(&path, &skipping()).unwrap();
    let field = |name: &str| data.field(name).unwrap();
    assert_eq!(field("domain"), [Some(json!("code")), Some(json!("code"))]);
    assert_eq!(field("meta.level"), [Some(json!(1)), Some(json!(3))]);
    assert_eq!(field("colour"), [None, None]);
    let message = data.field("good").unwrap_err().to_string();
    assert!(message.contains("column `good`") && message.contains("Boolean"), "{message}");
}
