//! A data set on disk: opened and checked once, read by position, its text never held.

use std::ops::Range;
use std::path::Path;

#[cfg(feature = "parquet")]
use crate::columns::ParquetFile;
use crate::error::{DatasetError, Reject};
use crate::format::Format;
use crate::index::Index;
use crate::params::{Fields, ReadOptions};
use crate::rows::{Handle, RowReader, Stamp};
use crate::sample::{Content, Sample};
use crate::scan::RowPlace;
use crate::schema::{self, Fault, Parsed, Schema};

/// A file of instruction data (or two parallel ones), opened and indexed.
///
/// Opening makes one pass that checks every row and keeps its place, 32 bytes, and nothing of its text; while the pass
/// lasts, the growing tables of places and ids take about 100 bytes a row (measured: 92 MiB for a million rows). After
/// that, rows are read by position among the accepted rows, `0..len()`.
#[derive(Debug)]
pub struct Dataset {
    pub(crate) backing: Backing,
    format: Format,
    fields: Fields,
    pub(crate) index: Index,
    content_hash: String,
    stamps: Vec<Stamp>,
}

/// Where the rows come from. There is one for each open file, so its size does not matter.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)]
pub(crate) enum Backing {
    Json {
        file: Handle,
        schema: Schema,
        array: bool,
    },
    Tsv {
        file: Handle,
        header: Option<String>,
    },
    /// The index holds the places of the sources.
    Parallel {
        source: Handle,
        target: Handle,
        targets: Vec<RowPlace>,
    },
    #[cfg(feature = "parquet")]
    Parquet(ParquetFile),
}

impl Dataset {
    pub(crate) fn new(
        backing: Backing,
        format: Format,
        options: &ReadOptions,
        index: Index,
        content_hash: String,
        stamps: Vec<Stamp>,
    ) -> Self {
        Dataset { backing, format, fields: options.fields.clone(), index, content_hash, stamps }
    }

    /// The number of accepted rows, at least 1.
    pub fn len(&self) -> usize {
        self.index.rows.len()
    }

    /// Always false: a file without accepted rows is not opened.
    pub fn is_empty(&self) -> bool {
        self.index.rows.is_empty()
    }

    /// The format found or stated.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The file; of parallel files, the sources.
    pub fn path(&self) -> &Path {
        match &self.backing {
            Backing::Json { file, .. } | Backing::Tsv { file, .. } => file.path(),
            Backing::Parallel { source, .. } => source.path(),
            #[cfg(feature = "parquet")]
            Backing::Parquet(file) => file.path(),
        }
    }

    /// Which fields hold what.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The rows left out, with reasons (only when skipping).
    pub fn rejects(&self) -> &[Reject] {
        &self.index.rejects
    }

    /// BLAKE3 of the file's bytes in hexadecimal; of parallel files, BLAKE3 over the two hashes.
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }

    /// Reads the accepted rows at these positions, in this order; a position may come more than once. The file stays open,
    /// so that a row here and there costs little more than rows in a run.
    ///
    /// # Errors
    /// [`DatasetError::OutOfRange`] beyond `len()`, [`DatasetError::Changed`] if the file is no longer what was opened,
    /// [`DatasetError::Io`].
    pub fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        let mut samples = Vec::with_capacity(positions.len());
        self.visit(positions, |_, sample| {
            samples.push(sample);
            Ok(())
        })?;
        Ok(samples)
    }

    /// The same for positions that follow each other.
    ///
    /// # Errors
    /// As [`Dataset::read`].
    pub fn read_range(&self, positions: Range<usize>) -> Result<Vec<Sample>, DatasetError> {
        self.read(&positions.collect::<Vec<_>>())
    }

    /// The row of the file that stands at this position, which is [`Sample::index`] of it; `None` beyond `len()`.
    pub fn row(&self, position: usize) -> Option<usize> {
        self.index.rows.get(position).map(|place| place.index as usize)
    }

    /// How many times rows of a Parquet file were decoded, opening included; for tests of what reading costs.
    #[doc(hidden)]
    pub fn decoded(&self) -> u64 {
        match &self.backing {
            #[cfg(feature = "parquet")]
            Backing::Parquet(file) => file.decoded(),
            _ => 0,
        }
    }

    /// Shows the rows at `positions` one after the other: their bytes as they lie in the file (the row; of parallel files
    /// source and target; of Parquet none) and the sample made from them.
    pub(crate) fn visit(
        &self,
        positions: &[usize],
        mut show: impl FnMut([&[u8]; 2], Sample) -> Result<(), DatasetError>,
    ) -> Result<(), DatasetError> {
        self.check(positions)?;
        match &self.backing {
            Backing::Json { file, schema, .. } => {
                let mut reader = RowReader::new(file);
                for (next, &position) in positions.iter().enumerate() {
                    let bytes = reader.row(self.places(&positions[next..]))?;
                    let offset = self.index.rows[position].offset;
                    let parsed = schema::parse_json(bytes, offset, *schema, &self.fields);
                    show([bytes, &[]], self.sample(file.path(), position, parsed)?)?;
                }
            }
            Backing::Tsv { file, .. } => {
                let mut reader = RowReader::new(file);
                for (next, &position) in positions.iter().enumerate() {
                    let bytes = reader.row(self.places(&positions[next..]))?;
                    let parsed = schema::parse_tsv(bytes, self.index.rows[position].offset);
                    show([bytes, &[]], self.sample(file.path(), position, parsed)?)?;
                }
            }
            Backing::Parallel { source, target, targets } => {
                let (mut left, mut right) = (RowReader::new(source), RowReader::new(target));
                for (next, &position) in positions.iter().enumerate() {
                    let ahead = &positions[next..];
                    let left = left.row(self.places(ahead))?;
                    let right = right.row(ahead.iter().map(|&position| targets[position]))?;
                    let (file, parsed) = parse_pair(
                        (source.path(), left, self.index.rows[position]),
                        (target.path(), right, targets[position]),
                    );
                    show([left, right], self.sample(file, position, parsed)?)?;
                }
            }
            #[cfg(feature = "parquet")]
            Backing::Parquet(file) => {
                let rows: Vec<u64> =
                    positions.iter().map(|&position| self.index.rows[position].index).collect();
                let mut next = 0;
                file.visit(&rows, |parsed| {
                    let position = positions[next];
                    next += 1;
                    show([&[], &[]], self.sample(file.path(), position, parsed)?)
                })?;
            }
        }
        Ok(())
    }

    fn places<'a>(&'a self, positions: &'a [usize]) -> impl Iterator<Item = RowPlace> + 'a {
        positions.iter().map(|&position| self.index.rows[position])
    }

    /// Refuses positions out of range and files that have changed.
    pub(crate) fn check(&self, positions: &[usize]) -> Result<(), DatasetError> {
        let len = self.len();
        if let Some(&position) = positions.iter().find(|&&position| position >= len) {
            return Err(DatasetError::OutOfRange { file: self.path().to_owned(), position, len });
        }
        self.stamps.iter().try_for_each(Stamp::check)
    }

    fn sample(
        &self,
        file: &Path,
        position: usize,
        parsed: Result<Parsed, Fault>,
    ) -> Result<Sample, DatasetError> {
        // Every row was accepted when the file was opened.
        let (given, content) = parsed.map_err(|fault| DatasetError::Changed {
            file: file.to_owned(),
            found: format!(
                "line {} was readable then, now: {}",
                self.index.rows[position].line, fault.reason
            ),
        })?;
        Ok(Sample {
            id: self.index.id(position, given, &content),
            index: self.index.rows[position].index as usize,
            content,
        })
    }
}

/// One line of each parallel file, and the file to name if it cannot be read.
pub(crate) fn parse_pair<'a>(
    source: (&'a Path, &[u8], RowPlace),
    target: (&'a Path, &[u8], RowPlace),
) -> (&'a Path, Result<Parsed, Fault>) {
    let text = |(_, bytes, place): (&Path, &[u8], RowPlace)| {
        schema::text(bytes, place.offset).map(str::to_owned)
    };
    match (text(source), text(target)) {
        (Ok(left), Ok(right)) => {
            let content = Content::Translation { source: left, target: right };
            (source.0, Ok((None, content)))
        }
        (Err(fault), _) => (source.0, Err(fault)),
        (_, Err(fault)) => (target.0, Err(fault)),
    }
}
