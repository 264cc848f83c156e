//! A Parquet file kept open. Rows are decoded in spans, the last of which are kept, so that a row costs no more than
//! finding it where its neighbours were read before.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use crate::error::{self, DatasetError};

/// A span is a row group, or a part of one that has more bytes than this (not compressed) or more rows.
const SPAN_BYTES: u64 = 16 << 20;
const SPAN_ROWS: u64 = 1 << 16;

/// The least rows of a span, however long they are.
const LEAST_ROWS: u64 = 64;

/// Memory of the spans kept; the last one is kept whatever its size.
const KEPT_BYTES: usize = 64 << 20;

/// Rows that follow each other in one row group.
#[derive(Clone, Copy, Debug)]
struct Span {
    group: usize,
    /// Rows of the group before it.
    skip: usize,
    rows: usize,
    /// Rows of the file before it.
    first: u64,
}

/// Which columns are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Columns {
    /// Those that make up a row's content.
    Needed,
    All,
}

/// The file and what was decoded last.
#[derive(Debug)]
struct Kept {
    file: File,
    /// The one used last is at the end.
    spans: Vec<(usize, Columns, RecordBatch)>,
}

#[derive(Debug)]
pub(crate) struct Spans {
    path: PathBuf,
    metadata: ArrowReaderMetadata,
    all: Vec<Span>,
    needed: ProjectionMask,
    kept: Mutex<Kept>,
    decoded: AtomicU64,
}

impl Spans {
    /// Opens the file; all of its columns are needed until [`Spans::need`] says otherwise.
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(error::io("open", path))?;
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata =
            ArrowReaderMetadata::load(&file, options).map_err(|error| failed(path, error))?;
        Ok(Spans {
            path: path.to_owned(),
            all: spans(metadata.metadata()),
            metadata,
            needed: ProjectionMask::all(),
            kept: Mutex::new(Kept { file, spans: Vec::new() }),
            decoded: AtomicU64::new(0),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Says of which columns rows are made; a name may be a path through columns of structs.
    pub(crate) fn need(&mut self, names: &[&str]) {
        let root = |column: &str| {
            names.iter().any(|name| {
                name.strip_prefix(column)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let fields = self.schema().fields().iter().enumerate();
        let roots: Vec<usize> =
            fields.filter(|(_, field)| root(field.name())).map(|(index, _)| index).collect();
        self.needed = ProjectionMask::roots(self.metadata.parquet_schema(), roots);
    }

    /// How many spans were decoded since the file was opened.
    pub(crate) fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// Shows all rows in order, some at a time.
    pub(crate) fn visit_all(
        &self,
        mut show: impl FnMut(&RecordBatch) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        (0..self.all.len()).try_for_each(|number| show(&self.span(number, Columns::Needed)?))
    }

    /// One batch of just these rows, in this order.
    pub(crate) fn rows(&self, rows: &[u64], columns: Columns) -> Result<RecordBatch, DatasetError> {
        let failed = |error| failed(&self.path, error);
        let mut sorted = rows.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        let span_of =
            |row: u64| self.all.partition_point(|span| span.first <= row).saturating_sub(1);
        let mut parts = Vec::new();
        for run in sorted.chunk_by(|&left, &right| span_of(left) == span_of(right)) {
            let number = span_of(run[0]);
            let batch = self.span(number, columns)?;
            let first = self.all[number].first;
            let wanted: UInt64Array = run.iter().map(|row| row - first).collect();
            parts.push(take_record_batch(&batch, &wanted).map_err(failed)?);
        }
        let Some(schema) = parts.first().map(RecordBatch::schema) else {
            return Ok(RecordBatch::new_empty(self.schema().clone()));
        };
        let found = concat_batches(&schema, &parts).map_err(failed)?;
        if sorted == rows {
            return Ok(found);
        }
        // Every row is in `sorted`, so the search finds it.
        let order: UInt64Array =
            rows.iter().map(|row| sorted.partition_point(|other| other < row) as u64).collect();
        take_record_batch(&found, &order).map_err(failed)
    }

    /// The rows of a span, decoded unless they are still kept.
    fn span(&self, number: usize, columns: Columns) -> Result<RecordBatch, DatasetError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same =
            |(span, of, _): &(usize, Columns, RecordBatch)| (*span, *of) == (number, columns);
        let entry = match kept.spans.iter().position(same) {
            Some(place) => kept.spans.remove(place),
            None => (number, columns, self.decode(&kept.file, self.all[number], columns)?),
        };
        let batch = entry.2.clone();
        kept.spans.push(entry);
        let mut bytes: usize =
            kept.spans.iter().map(|(_, _, batch)| batch.get_array_memory_size()).sum();
        while bytes > KEPT_BYTES && kept.spans.len() > 1 {
            bytes -= kept.spans.remove(0).2.get_array_memory_size();
        }
        Ok(batch)
    }

    fn decode(
        &self,
        file: &File,
        span: Span,
        columns: Columns,
    ) -> Result<RecordBatch, DatasetError> {
        self.decoded.fetch_add(1, Ordering::Relaxed);
        let failed = |error| failed(&self.path, error);
        // The same open file: its position is moved only under the lock.
        let file = file.try_clone().map_err(error::io("read", &self.path))?;
        let mask = match columns {
            Columns::Needed => self.needed.clone(),
            Columns::All => ProjectionMask::all(),
        };
        let selection = vec![RowSelector::skip(span.skip), RowSelector::select(span.rows)];
        let reader =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
                .with_row_groups(vec![span.group])
                .with_projection(mask)
                .with_row_selection(RowSelection::from(selection))
                .with_batch_size(span.rows)
                .build()
                .map_err(|error| failed(error.into()))?;
        let schema = arrow_array::RecordBatchReader::schema(&reader);
        let batches = reader.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        let found = concat_batches(&schema, &batches).map_err(failed)?;
        if found.num_rows() != span.rows {
            return Err(DatasetError::Changed {
                file: self.path.clone(),
                found: format!("{} of {} rows asked for are there", found.num_rows(), span.rows),
            });
        }
        Ok(found)
    }
}

/// The spans of a file in order.
fn spans(metadata: &ParquetMetaData) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut first = 0;
    for (group, about) in metadata.row_groups().iter().enumerate() {
        let rows = u64::try_from(about.num_rows()).unwrap_or(0);
        let bytes = u64::try_from(about.total_byte_size()).unwrap_or(0);
        let most = (SPAN_BYTES / (bytes / rows.max(1)).max(1)).clamp(LEAST_ROWS, SPAN_ROWS);
        for skip in (0..rows).step_by(most as usize) {
            let rows = most.min(rows - skip) as usize;
            spans.push(Span { group, skip: skip as usize, rows, first: first + skip });
        }
        first += rows;
    }
    spans
}

fn failed(file: &Path, error: impl std::fmt::Display) -> DatasetError {
    DatasetError::Parquet { action: "read", file: file.to_owned(), reason: error.to_string() }
}
