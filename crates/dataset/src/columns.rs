//! Parquet: the one module that knows arrow.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch, StructArray, UInt64Array, downcast_integer_array};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use arrow_select::take::{take, take_record_batch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection, RowSelector,
};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use crate::error::{self, DatasetError};
use crate::format::Schema;
use crate::params::Fields;
use crate::schema::{self, Fault, Parsed};

/// Rows decoded at a time.
const BATCH_ROWS: usize = 1024;

/// A Parquet file whose columns are named as the fields of a known kind of row.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    path: PathBuf,
    schema: Schema,
    fields: Fields,
}

impl ParquetFile {
    pub(crate) fn open(path: &Path, fields: &Fields) -> Result<Self, DatasetError> {
        let mut file =
            ParquetFile { path: path.to_owned(), schema: Schema::Alpaca, fields: fields.clone() };
        let builder = file.builder()?;
        // The columns as a row without values: what tells JSON rows apart tells these apart.
        let columns = columns_as_row(builder.schema().fields());
        file.schema = match Schema::detect(&columns, fields) {
            Some(found @ (Schema::Alpaca | Schema::Translation | Schema::Text)) => found,
            _ => {
                return Err(DatasetError::UnknownFormat {
                    file: path.to_owned(),
                    found: format!(
                        "it is Parquet with {}; Parquet is read with the columns {} and {}, {} and {}, or {}",
                        schema::keys(&columns),
                        fields.instruction,
                        fields.output,
                        fields.source,
                        fields.target,
                        fields.text
                    ),
                });
            }
        };
        Ok(file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Shows every row in order.
    pub(crate) fn visit_all(
        &self,
        mut show: impl FnMut(Result<Parsed, Fault>) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        let reader = self.reader(self.builder()?)?;
        for batch in reader {
            let batch = batch.map_err(|error| self.failed("read", error))?;
            let columns = self.columns(&batch)?;
            for row in 0..batch.num_rows() {
                show(self.parse(&columns, row))?;
            }
        }
        Ok(())
    }

    /// Shows the given rows in the given order.
    pub(crate) fn visit(
        &self,
        rows: &[u64],
        mut show: impl FnMut(Result<Parsed, Fault>) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        for part in rows.chunks(BATCH_ROWS) {
            let batch = self.rows(part)?;
            let columns = self.columns(&batch)?;
            for row in 0..batch.num_rows() {
                show(self.parse(&columns, row))?;
            }
        }
        Ok(())
    }

    /// The values of any column in the given rows; none where it is null, or if there is no such column.
    pub(crate) fn values(
        &self,
        rows: &[u64],
        name: &str,
    ) -> Result<Vec<Option<Value>>, DatasetError> {
        let mut values = Vec::with_capacity(rows.len());
        for part in rows.chunks(BATCH_ROWS) {
            let table = StructArray::from(self.rows(part)?);
            let column =
                find(&table, name).map(|column| self.readable(name, column)).transpose()?;
            values.extend((0..part.len()).map(|row| {
                column.as_ref().map(|column| value(column, row)).filter(|value| !value.is_null())
            }));
        }
        Ok(values)
    }

    /// Writes the given rows, all columns of them, as a Parquet file; `to` is its name for messages.
    pub(crate) fn copy_rows(
        &self,
        rows: &[u64],
        out: impl Write + Send,
        to: &Path,
    ) -> Result<(), DatasetError> {
        let failed = |error: parquet::errors::ParquetError| DatasetError::Parquet {
            action: "write",
            file: to.to_owned(),
            reason: error.to_string(),
        };
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let schema = self.builder()?.schema().clone();
        let mut writer = ArrowWriter::try_new(out, schema, Some(properties)).map_err(failed)?;
        for part in rows.chunks(BATCH_ROWS) {
            writer.write(&self.rows(part)?).map_err(failed)?;
        }
        writer.close().map(|_| ()).map_err(failed)
    }

    fn builder(&self) -> Result<ParquetRecordBatchReaderBuilder<File>, DatasetError> {
        let file = File::open(&self.path).map_err(error::io("open", &self.path))?;
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| self.failed("read", error))
    }

    fn reader(
        &self,
        builder: ParquetRecordBatchReaderBuilder<File>,
    ) -> Result<ParquetRecordBatchReader, DatasetError> {
        builder.with_batch_size(BATCH_ROWS).build().map_err(|error| self.failed("read", error))
    }

    /// One batch of just these rows, in this order.
    fn rows(&self, rows: &[u64]) -> Result<RecordBatch, DatasetError> {
        let mut sorted = rows.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let mut selectors = Vec::new();
        let mut next = 0;
        for &row in &sorted {
            selectors.push(RowSelector::skip((row - next) as usize));
            selectors.push(RowSelector::select(1));
            next = row + 1;
        }
        let builder = self.builder()?;
        let schema = builder.schema().clone();
        let reader = self.reader(builder.with_row_selection(RowSelection::from(selectors)))?;
        let batches =
            reader.collect::<Result<Vec<_>, _>>().map_err(|error| self.failed("read", error))?;
        let found =
            concat_batches(&schema, &batches).map_err(|error| self.failed("read", error))?;
        if found.num_rows() != sorted.len() {
            return Err(DatasetError::Changed {
                file: self.path.clone(),
                found: format!("{} of {} rows asked for are there", found.num_rows(), sorted.len()),
            });
        }
        // Every row is in `sorted`, so the search finds it.
        let order: UInt64Array =
            rows.iter().map(|row| sorted.partition_point(|other| other < row) as u64).collect();
        take_record_batch(&found, &order).map_err(|error| self.failed("read", error))
    }

    /// The columns that make up a row's content, by field name.
    fn columns(&self, batch: &RecordBatch) -> Result<Vec<(String, ArrayRef)>, DatasetError> {
        let fields = &self.fields;
        let wanted: &[&String] = match self.schema {
            Schema::Translation => &[&fields.id, &fields.source, &fields.target],
            _ => &[&fields.id, &fields.instruction, &fields.input, &fields.output],
        };
        let table = StructArray::from(batch.clone());
        wanted
            .iter()
            .filter_map(|&name| Some((name, find(&table, name)?)))
            .map(|(name, column)| Ok((name.clone(), self.readable(name, column)?)))
            .collect()
    }

    fn readable(&self, name: &str, column: ArrayRef) -> Result<ArrayRef, DatasetError> {
        readable(column).map_err(|reason| DatasetError::FormatMismatch {
            file: self.path.clone(),
            reason: format!("the column `{name}` {reason}"),
        })
    }

    fn parse(&self, columns: &[(String, ArrayRef)], row: usize) -> Result<Parsed, Fault> {
        let fields: Map<String, Value> =
            columns.iter().map(|(name, column)| (name.clone(), value(column, row))).collect();
        schema::parse_value(&Value::Object(fields), self.schema, &self.fields)
    }

    fn failed(&self, action: &'static str, error: impl std::fmt::Display) -> DatasetError {
        DatasetError::Parquet { action, file: self.path.clone(), reason: error.to_string() }
    }
}

/// The names of the columns as an object, nested where the columns are.
fn columns_as_row(fields: &arrow_schema::Fields) -> Value {
    let columns = fields.iter().map(|field| {
        let inside = match field.data_type() {
            DataType::Struct(inner) => columns_as_row(inner),
            _ => Value::Null,
        };
        (field.name().clone(), inside)
    });
    Value::Object(columns.collect())
}

/// The column of this name, or at the end of this dotted path through struct columns.
fn find(table: &StructArray, name: &str) -> Option<ArrayRef> {
    if let Some(column) = table.column_by_name(name) {
        return Some(column.clone());
    }
    let (head, rest) = name.split_once('.')?;
    find(table.column_by_name(head)?.as_struct_opt()?, rest)
}

/// A column of text or integers as it is, of a dictionary of texts the texts; others are refused.
fn readable(column: ArrayRef) -> Result<ArrayRef, String> {
    match column.data_type() {
        // Null: a column without any value, such as `input` where no row has one.
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => Ok(column),
        integer if integer.is_integer() => Ok(column),
        DataType::Dictionary(_, values)
            if matches!(**values, DataType::Utf8 | DataType::LargeUtf8) =>
        {
            let dictionary = column.as_any_dictionary();
            take(dictionary.values(), dictionary.keys(), None).map_err(|error| error.to_string())
        }
        other => Err(format!("is of type {other}, expected text")),
    }
}

/// One cell of a readable column. An integer is an id; as a text field it will be refused.
fn value(column: &ArrayRef, row: usize) -> Value {
    if column.is_null(row) {
        return Value::Null;
    }
    downcast_integer_array!(
        column => Value::from(column.value(row)),
        DataType::Utf8 => Value::from(column.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Value::from(column.as_string::<i64>().value(row)),
        DataType::Utf8View => Value::from(column.as_string_view().value(row)),
        _ => Value::Null
    )
}
