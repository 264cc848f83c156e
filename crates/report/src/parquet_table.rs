//! `scores.parquet`: the rows of `scores.jsonl` in typed columns.

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde::Serialize;
use serde_json::{Map, Value};
use tamis_artifact::AtomicFile;

use crate::ReportError;
use crate::jsonl::{name_row, refuse_non_finite};

/// Rows that are made into columns at a time.
const BATCH_ROWS: usize = 8192;

/// Writes one row a candidate and returns how many there were: what [`write_jsonl`](crate::write_jsonl) writes, as a
/// Parquet file (Snappy) that pandas, polars or `DuckDB` read with types.
///
/// A field of the rows becomes a column of the same name, in the order of their first appearance. All columns may hold
/// nulls: what is `None`, or missing in a row, is one.
///
/// | values of the field | column |
/// | --- | --- |
/// | true, false | boolean |
/// | whole numbers | 64-bit integers |
/// | numbers, some with a fraction | 64-bit floats |
/// | text, or nothing in any row | text |
/// | objects with named fields, maps | a column for each of their fields: `tasks.translation` |
/// | lists; different kinds in different rows; numbers beyond 64 bits | the value as JSON text |
///
/// The rows are gone through twice, first for the types. The file appears complete or not at all.
///
/// # Errors
/// As `write_jsonl`, and [`ReportError::NotAnObject`] for rows without named fields, [`ReportError::Parquet`] if the
/// library refuses.
pub fn write_parquet<R: Serialize>(path: impl AsRef<Path>, rows: &[R]) -> Result<u64, ReportError> {
    let path = path.as_ref();
    let mut fields = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        refuse_non_finite(path, row, || name_row(number as u64, row))?;
        learn(&mut fields, &object(path, number, row)?);
    }
    let columns = Column::all(fields);
    let schema = Arc::new(schema(path, &columns)?);
    let failed = |error: &dyn std::fmt::Display| ReportError::Parquet {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let mut file = AtomicFile::create(path)?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = ArrowWriter::try_new(&mut file, schema.clone(), Some(properties))
        .map_err(|error| failed(&error))?;
    for (number, part) in rows.chunks(BATCH_ROWS).enumerate() {
        let first = number * BATCH_ROWS;
        let part: Vec<Map<String, Value>> = part
            .iter()
            .enumerate()
            .map(|(place, row)| object(path, first + place, row))
            .collect::<Result<_, _>>()?;
        let arrays = columns.iter().map(|column| column.array(&part)).collect();
        RecordBatch::try_new(schema.clone(), arrays)
            .map_err(|error| failed(&error))
            .and_then(|batch| writer.write(&batch).map_err(|error| failed(&error)))?;
    }
    writer.close().map_err(|error| failed(&error))?;
    file.commit()?;
    Ok(rows.len() as u64)
}

fn object<R: Serialize>(
    path: &Path,
    number: usize,
    row: &R,
) -> Result<Map<String, Value>, ReportError> {
    let named = || name_row(number as u64, row);
    let value = serde_json::to_value(row).map_err(|source| ReportError::Encode {
        path: path.to_owned(),
        row: named(),
        source,
    })?;
    let found = match value {
        Value::Object(fields) => return Ok(fields),
        Value::Array(_) => "a list",
        _ => "a single value",
    };
    Err(ReportError::NotAnObject { path: path.to_owned(), row: named(), found })
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing yet.
    Unknown,
    Boolean,
    Integer,
    Float,
    Text,
    /// Fields, which are columns themselves.
    Object,
    /// Values of different kinds, as JSON.
    Json,
}

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Unknown,
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_i64() => Self::Integer,
            Value::Number(number) if number.is_u64() => Self::Json,
            Value::Number(_) => Self::Float,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::Json,
            Value::Object(_) => Self::Object,
        }
    }

    fn join(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, kind) | (kind, Self::Unknown) => kind,
            (a, b) if a == b => a,
            (Self::Integer, Self::Float) | (Self::Float, Self::Integer) => Self::Float,
            _ => Self::Json,
        }
    }
}

/// A field of the rows, and the fields of its own.
#[derive(Debug)]
struct Node {
    name: String,
    kind: Kind,
    inner: Vec<Node>,
}

/// Takes note of the kinds of the fields of one row.
fn learn(nodes: &mut Vec<Node>, fields: &Map<String, Value>) {
    for (place, (name, value)) in fields.iter().enumerate() {
        // Rows of a table mostly have the same fields in the same order.
        let known = match nodes.get(place) {
            Some(node) if node.name == *name => Some(place),
            _ => nodes.iter().position(|node| node.name == *name),
        };
        let at = known.unwrap_or(nodes.len());
        if known.is_none() {
            nodes.push(Node { name: name.clone(), kind: Kind::Unknown, inner: Vec::new() });
        }
        let node = &mut nodes[at];
        node.kind = node.kind.join(Kind::of(value));
        if let Value::Object(inner) = value {
            learn(&mut node.inner, inner);
        }
    }
}

/// A column: where its values are in a row.
#[derive(Debug)]
struct Column {
    path: Vec<String>,
    kind: Kind,
}

impl Column {
    /// The columns that fields make, in order.
    fn all(nodes: Vec<Node>) -> Vec<Self> {
        fn add(path: &[String], nodes: Vec<Node>, columns: &mut Vec<Column>) {
            for node in nodes {
                let mut path = path.to_vec();
                path.push(node.name);
                if node.kind == Kind::Object {
                    add(&path, node.inner, columns);
                } else {
                    columns.push(Column { path, kind: node.kind });
                }
            }
        }
        let mut columns = Vec::new();
        add(&[], nodes, &mut columns);
        columns
    }

    fn field(&self) -> Field {
        let data_type = match self.kind {
            Kind::Boolean => DataType::Boolean,
            Kind::Integer => DataType::Int64,
            Kind::Float => DataType::Float64,
            _ => DataType::Utf8,
        };
        Field::new(self.path.join("."), data_type, true)
    }

    /// The value in a row, null and missing alike being none.
    fn value<'r>(&self, row: &'r Map<String, Value>) -> Option<&'r Value> {
        let (first, rest) = self.path.split_first()?;
        let found = rest.iter().try_fold(row.get(first)?, |value, name| value.get(name));
        found.filter(|value| !value.is_null())
    }

    fn array(&self, rows: &[Map<String, Value>]) -> ArrayRef {
        let values = rows.iter().map(|row| self.value(row));
        match self.kind {
            Kind::Boolean => {
                Arc::new(values.map(|value| value?.as_bool()).collect::<BooleanArray>())
            }
            Kind::Integer => Arc::new(values.map(|value| value?.as_i64()).collect::<Int64Array>()),
            Kind::Float => Arc::new(values.map(|value| value?.as_f64()).collect::<Float64Array>()),
            Kind::Json => {
                let texts = values.map(|value| value.map(Value::to_string));
                Arc::new(texts.collect::<StringArray>())
            }
            Kind::Unknown | Kind::Text | Kind::Object => {
                Arc::new(values.map(|value| value?.as_str()).collect::<StringArray>())
            }
        }
    }
}

/// Refuses two fields that would make one column, `a.b` and `b` in `a`.
fn schema(path: &Path, columns: &[Column]) -> Result<Schema, ReportError> {
    let fields: Vec<Field> = columns.iter().map(Column::field).collect();
    let mut names = std::collections::HashSet::new();
    match fields.iter().find(|field| !names.insert(field.name())) {
        None => Ok(Schema::new(fields)),
        Some(field) => Err(ReportError::Parquet {
            path: path.to_owned(),
            reason: format!("two fields of the rows make the column `{}`", field.name()),
        }),
    }
}
