//! Parquet: the one module that knows arrow.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, downcast_integer_array};
use arrow_schema::{DataType, Field, Fields};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::EmbeddingsError;
use crate::embeddings::Found;
use crate::piece::Piece;

const KIND: &str = "Parquet";
/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;
/// The column of ids where none is named.
const ID: &str = "id";

pub(crate) fn read(
    path: &Path,
    column: Option<&str>,
    id_column: Option<&str>,
) -> Result<Found, EmbeddingsError> {
    let damaged = |problem: String| EmbeddingsError::damaged(path, KIND, problem);
    let file = File::open(path).map_err(EmbeddingsError::io("open", path))?;
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| damaged(e.to_string()))?;
    let fields = builder.schema().fields().clone();
    let (rows_at, ids_at) =
        (rows_column(path, &fields, column)?, ids_column(path, &fields, id_column)?);

    // Only these columns are decoded.
    let wanted = [Some(rows_at), ids_at].into_iter().flatten();
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted);
    let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
    let mut read = Read {
        path,
        column: fields[rows_at].name(),
        columns: None,
        values: Vec::new(),
        ids: ids_at.map(|at| (fields[at].name().as_str(), Vec::new())),
        rows: 0,
    };
    for batch in reader.map_err(|e| damaged(e.to_string()))? {
        read.batch(&batch.map_err(|e| damaged(e.to_string()))?)?;
    }
    Ok(Found {
        columns: read.columns.unwrap_or(0),
        pieces: vec![Piece::Memory(read.values)],
        ids: read.ids.map(|(_, ids)| ids),
        ..Found::default()
    })
}

/// The place of the column of that name, or of the only one with lists of floating-point numbers.
fn rows_column(path: &Path, fields: &Fields, name: Option<&str>) -> Result<usize, EmbeddingsError> {
    if let Some(name) = name {
        let at = named(path, fields, name)?;
        return if is_rows(&fields[at]) {
            Ok(at)
        } else {
            Err(dtype(path, &fields[at], "lists of floating-point numbers"))
        };
    }
    let fitting: Vec<usize> = (0..fields.len()).filter(|&at| is_rows(&fields[at])).collect();
    let problem = match fitting.as_slice() {
        [at] => return Ok(*at),
        [] => "there is no column of lists of floating-point numbers".to_owned(),
        many => format!("{} columns may be the embeddings, name the one", many.len()),
    };
    Err(EmbeddingsError::Choice { path: path.to_owned(), problem, found: listed(fields) })
}

/// The place of the column of ids, if there is one.
fn ids_column(
    path: &Path,
    fields: &Fields,
    name: Option<&str>,
) -> Result<Option<usize>, EmbeddingsError> {
    let at = match name {
        Some(name) => Some(named(path, fields, name)?),
        None => fields.iter().position(|field| field.name() == ID),
    };
    match at {
        Some(at) if !is_id(fields[at].data_type()) => {
            Err(dtype(path, &fields[at], "texts or whole numbers as ids; name another id column"))
        }
        at => Ok(at),
    }
}

fn named(path: &Path, fields: &Fields, name: &str) -> Result<usize, EmbeddingsError> {
    fields.iter().position(|field| field.name() == name).ok_or_else(|| EmbeddingsError::Choice {
        path: path.to_owned(),
        problem: format!("there is no column `{name}`"),
        found: listed(fields),
    })
}

fn listed(fields: &Fields) -> String {
    let each = fields.iter().map(|field| format!("`{}` {}", field.name(), field.data_type()));
    each.collect::<Vec<_>>().join(", ")
}

fn dtype(path: &Path, field: &Field, expected: &'static str) -> EmbeddingsError {
    EmbeddingsError::Dtype {
        path: path.to_owned(),
        what: format!("column `{}`", field.name()),
        found: field.data_type().to_string(),
        expected,
    }
}

fn is_rows(field: &Field) -> bool {
    match field.data_type() {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            matches!(item.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64)
        }
        _ => false,
    }
}

fn is_id(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) || kind.is_integer()
}

/// What was read so far.
struct Read<'a> {
    path: &'a Path,
    column: &'a str,
    columns: Option<usize>,
    values: Vec<f32>,
    /// Name of their column, and the ids.
    ids: Option<(&'a str, Vec<String>)>,
    rows: usize,
}

impl Read<'_> {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), EmbeddingsError> {
        let missing = |name: &str| {
            EmbeddingsError::damaged(self.path, KIND, format!("column `{name}` was not decoded"))
        };
        let lists = batch.column_by_name(self.column).ok_or_else(|| missing(self.column))?;
        if let Some((name, _)) = self.ids {
            let ids = batch.column_by_name(name).ok_or_else(|| missing(name))?;
            self.take_ids(name, ids)?;
        }
        self.take_rows(lists)?;
        self.rows += batch.num_rows();
        Ok(())
    }

    fn take_rows(&mut self, lists: &ArrayRef) -> Result<(), EmbeddingsError> {
        let count = lists.len();
        let (numbers, ranges): (&ArrayRef, Vec<Range<usize>>) = match lists.data_type() {
            DataType::LargeList(_) => {
                let lists = lists.as_list::<i64>();
                let ends = lists.value_offsets();
                (
                    lists.values(),
                    (0..count).map(|r| ends[r] as usize..ends[r + 1] as usize).collect(),
                )
            }
            DataType::FixedSizeList(..) => {
                let lists = lists.as_fixed_size_list();
                let each = lists.value_length() as usize;
                let start = |row| lists.value_offset_at(row);
                (lists.values(), (0..count).map(|r| start(r)..start(r) + each).collect())
            }
            _ => {
                let lists = lists.as_list::<i32>();
                let ends = lists.value_offsets();
                (
                    lists.values(),
                    (0..count).map(|r| ends[r] as usize..ends[r + 1] as usize).collect(),
                )
            }
        };
        let converted: Option<Vec<f32>> = match numbers.data_type() {
            DataType::Float16 => {
                let numbers = numbers.as_primitive::<Float16Type>().values();
                Some(numbers.iter().map(|x| x.to_f32()).collect())
            }
            DataType::Float64 => {
                let numbers = numbers.as_primitive::<Float64Type>().values();
                Some(numbers.iter().map(|&x| x as f32).collect())
            }
            _ => None,
        };
        let values = match &converted {
            Some(values) => values.as_slice(),
            None => numbers.as_primitive::<Float32Type>().values(),
        };
        for (row, range) in ranges.into_iter().enumerate() {
            let columns = *self.columns.get_or_insert(range.len());
            if lists.is_null(row) {
                return Err(self.bad(self.column, row, "has no value; leave the row out".into()));
            }
            if range.len() != columns {
                let problem =
                    format!("has {} numbers, those before it have {columns}", range.len());
                return Err(self.bad(self.column, row, problem));
            }
            if numbers.null_count() > 0
                && let Some(column) = range.clone().position(|at| numbers.is_null(at))
            {
                let problem = format!("has no number in column {column}; leave the row out");
                return Err(self.bad(self.column, row, problem));
            }
            self.values.extend_from_slice(&values[range]);
        }
        Ok(())
    }

    fn take_ids(&mut self, name: &str, found: &ArrayRef) -> Result<(), EmbeddingsError> {
        if let Some(row) = (0..found.len()).find(|&row| found.is_null(row)) {
            return Err(self.bad(name, row, "has no value; every row needs its id".into()));
        }
        let texts = texts(found);
        if let Some((_, ids)) = &mut self.ids {
            ids.extend(texts);
        }
        Ok(())
    }

    /// What is wrong with a row of the batch at hand.
    fn bad(&self, column: &str, row: usize, problem: String) -> EmbeddingsError {
        EmbeddingsError::Row {
            path: self.path.to_owned(),
            row: self.rows + row,
            column: column.to_owned(),
            problem,
        }
    }
}

/// Texts or whole numbers, as texts.
fn texts(array: &ArrayRef) -> Vec<String> {
    let all = 0..array.len();
    match array.data_type() {
        DataType::Utf8 => all.map(|row| array.as_string::<i32>().value(row).to_owned()).collect(),
        DataType::LargeUtf8 => {
            all.map(|row| array.as_string::<i64>().value(row).to_owned()).collect()
        }
        DataType::Utf8View => all.map(|row| array.as_string_view().value(row).to_owned()).collect(),
        _ => downcast_integer_array!(
            array => all.map(|row| array.value(row).to_string()).collect(),
            _ => Vec::new() // `is_id` lets nothing else through
        ),
    }
}
