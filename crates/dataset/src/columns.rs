//! Parquet: the columns of a file as the rows that other formats have.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{
    Array, ArrayRef, GenericListArray, OffsetSizeTrait, RecordBatch, StructArray,
    downcast_integer_array,
};
use arrow_schema::{DataType, Field};
use arrow_select::take::take;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value};

use crate::error::DatasetError;
use crate::params::Fields;
use crate::schema::{self, Fault, Holds, Parsed, Schema, Turns};
use crate::spans::{Columns, Spans};

/// Rows shown or written at a time.
const BATCH_ROWS: usize = 1024;

/// A Parquet file whose columns are named as the fields of a known kind of row.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    spans: Spans,
    schema: Schema,
    fields: Fields,
}

impl ParquetFile {
    /// Opens a file; `stated` says what its rows are, else its columns tell.
    pub(crate) fn open(
        path: &Path,
        stated: Option<Schema>,
        fields: &Fields,
    ) -> Result<Self, DatasetError> {
        let mut spans = Spans::open(path)?;
        // The columns as a row without values: what tells JSON rows apart tells these apart.
        let columns = columns_as_row(spans.schema().fields());
        let fitting = stated.map_or_else(|| Schema::detect(&columns, fields), Some);
        let missing = fitting
            .map(|schema| schema.missing(&columns, fields).join(" and "))
            .unwrap_or_default();
        let schema = match fitting {
            Some(schema) if missing.is_empty() => schema,
            Some(_) => {
                return Err(DatasetError::FormatMismatch {
                    file: path.to_owned(),
                    reason: format!(
                        "the format stated needs a column {missing}, and it is Parquet with {}",
                        schema::keys(&columns)
                    ),
                });
            }
            None => {
                let known = Schema::ALL.map(|schema| schema.needed(fields).join(" and "));
                return Err(DatasetError::UnknownFormat {
                    file: path.to_owned(),
                    found: format!(
                        "it is Parquet with {}; Parquet is read with the columns {}",
                        schema::keys(&columns),
                        known.join(", or ")
                    ),
                });
            }
        };
        let mut names: Vec<&str> = vec![&fields.id];
        names.extend(schema.parts().iter().map(|part| part.name(fields)));
        spans.need(&names);
        Ok(ParquetFile { spans, schema, fields: fields.clone() })
    }

    pub(crate) fn path(&self) -> &Path {
        self.spans.path()
    }

    /// How many times rows were decoded.
    pub(crate) fn decoded(&self) -> u64 {
        self.spans.decoded()
    }

    /// Shows every row in order.
    pub(crate) fn visit_all(
        &self,
        mut show: impl FnMut(Result<Parsed, Fault>) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        self.spans.visit_all(|batch| self.show(batch, &mut show))
    }

    /// Shows the given rows in the given order.
    pub(crate) fn visit(
        &self,
        rows: &[u64],
        mut show: impl FnMut(Result<Parsed, Fault>) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        for part in rows.chunks(BATCH_ROWS) {
            self.show(&self.spans.rows(part, Columns::Needed)?, &mut show)?;
        }
        Ok(())
    }

    fn show(
        &self,
        batch: &RecordBatch,
        show: &mut impl FnMut(Result<Parsed, Fault>) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        let columns = self.columns(batch)?;
        (0..batch.num_rows()).try_for_each(|row| show(self.parse(&columns, row)))
    }

    /// The values of any column in the given rows; none where it is null, or if there is no such column.
    pub(crate) fn values(
        &self,
        rows: &[u64],
        name: &str,
    ) -> Result<Vec<Option<Value>>, DatasetError> {
        let mut values = Vec::with_capacity(rows.len());
        for part in rows.chunks(BATCH_ROWS) {
            let table = StructArray::from(self.spans.rows(part, Columns::All)?);
            let column = find(&table, name)
                .map(|column| self.readable(name, column, Holds::Text))
                .transpose()?;
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
        let schema = self.spans.schema().clone();
        let mut writer = ArrowWriter::try_new(out, schema, Some(properties)).map_err(failed)?;
        for part in rows.chunks(BATCH_ROWS) {
            writer.write(&self.spans.rows(part, Columns::All)?).map_err(failed)?;
        }
        writer.close().map(|_| ()).map_err(failed)
    }

    /// The columns that make up a row's content, by field name.
    fn columns(&self, batch: &RecordBatch) -> Result<Vec<(String, ArrayRef)>, DatasetError> {
        let parts = self.schema.parts().iter();
        let wanted = parts.map(|part| (part.name(&self.fields), part.holds()));
        let table = StructArray::from(batch.clone());
        std::iter::once((self.fields.id.as_str(), Holds::Text))
            .chain(wanted)
            .filter_map(|(name, holds)| Some((name, holds, find(&table, name)?)))
            .map(|(name, holds, column)| Ok((name.to_owned(), self.readable(name, column, holds)?)))
            .collect()
    }

    fn readable(
        &self,
        name: &str,
        column: ArrayRef,
        holds: Holds,
    ) -> Result<ArrayRef, DatasetError> {
        let found = match holds {
            Holds::Text => text_column(column),
            Holds::Turns(form) => turns_column(column, form),
        };
        found.map_err(|reason| DatasetError::FormatMismatch {
            file: self.path().to_owned(),
            reason: format!("the column `{name}` {reason}"),
        })
    }

    fn parse(&self, columns: &[(String, ArrayRef)], row: usize) -> Result<Parsed, Fault> {
        let fields: Map<String, Value> =
            columns.iter().map(|(name, column)| (name.clone(), value(column, row))).collect();
        schema::parse_value(&Value::Object(fields), self.schema, &self.fields)
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
fn text_column(column: ArrayRef) -> Result<ArrayRef, String> {
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

/// A column of lists of turns, with what is read of a turn; others are refused.
fn turns_column(column: ArrayRef, form: Turns) -> Result<ArrayRef, String> {
    match column.data_type() {
        DataType::Null => Ok(column),
        DataType::List(_) => turns_of(column.as_list::<i32>(), form),
        DataType::LargeList(_) => turns_of(column.as_list::<i64>(), form),
        other => Err(no_turns(other, form)),
    }
}

fn turns_of<O: OffsetSizeTrait>(
    lists: &GenericListArray<O>,
    form: Turns,
) -> Result<ArrayRef, String> {
    let turns = lists.values().as_struct_opt().ok_or_else(|| no_turns(lists.data_type(), form))?;
    let part = |name: &str| -> Result<_, String> {
        let column =
            turns.column_by_name(name).ok_or_else(|| no_turns(lists.data_type(), form))?.clone();
        let column =
            text_column(column).map_err(|reason| format!("has turns whose `{name}` {reason}"))?;
        Ok((Arc::new(Field::new(name, column.data_type().clone(), true)), column))
    };
    let (fields, columns): (Vec<_>, Vec<_>) =
        [part(form.role)?, part(form.text)?].into_iter().unzip();
    let made = |error: arrow_schema::ArrowError| error.to_string();
    let kept =
        StructArray::try_new(fields.into(), columns, turns.nulls().cloned()).map_err(made)?;
    let item = Arc::new(Field::new("item", kept.data_type().clone(), true));
    let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
    let lists =
        GenericListArray::<O>::try_new(item, offsets, Arc::new(kept), nulls).map_err(made)?;
    Ok(Arc::new(lists))
}

fn no_turns(found: &DataType, form: Turns) -> String {
    format!("is of type {found}, expected a list of turns with `{}` and `{}`", form.role, form.text)
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
        DataType::List(_) => items(&column.as_list::<i32>().value(row)),
        DataType::LargeList(_) => items(&column.as_list::<i64>().value(row)),
        DataType::Struct(fields) => {
            let parts = fields.iter().zip(column.as_struct().columns());
            Value::Object(parts.map(|(field, part)| (field.name().clone(), value(part, row))).collect())
        }
        _ => Value::Null
    )
}

fn items(list: &ArrayRef) -> Value {
    (0..list.len()).map(|item| value(list, item)).collect()
}
