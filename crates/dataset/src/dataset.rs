//! A data set on disk: opened and checked once, read by position, its text never held.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

#[cfg(feature = "parquet")]
use crate::columns::ParquetFile;
use crate::error::{self, DatasetError, Reject};
use crate::format::{Format, Schema};
use crate::index::{Index, Indexer};
use crate::params::{Fields, ReadOptions};
use crate::sample::{Content, Sample};
use crate::scan::{self, Layout, RowPlace, Scanner};
use crate::schema::{self, Fault, Parsed};

/// How many rows may come before the first that shows the format; more bad rows than this are no accident.
const ROWS_TRIED_FOR_FORMAT: usize = 100;

/// A file of instruction data (or two parallel ones), opened and indexed.
///
/// Opening makes one pass that checks every row and keeps its place, 32 bytes, and nothing of its text; while the pass
/// lasts, a table of ids takes up to about 50 bytes a row more. After that, rows are read by position among the accepted
/// rows, `0..len()`.
#[derive(Debug)]
pub struct Dataset {
    pub(crate) backing: Backing,
    format: Format,
    fields: Fields,
    pub(crate) index: Index,
    content_hash: String,
    stamps: Vec<Stamp>,
}

/// Where the rows come from.
#[derive(Debug)]
pub(crate) enum Backing {
    Json {
        path: PathBuf,
        schema: Schema,
        array: bool,
    },
    Tsv {
        path: PathBuf,
        header: Option<String>,
    },
    /// The index holds the places of the sources.
    Parallel {
        source: PathBuf,
        target: PathBuf,
        targets: Vec<RowPlace>,
    },
    #[cfg(feature = "parquet")]
    Parquet(ParquetFile),
}

impl Dataset {
    /// Opens a file, checks every row and records where it lies.
    ///
    /// # Errors
    /// Strictly (the default) the first bad row is an error naming file, line and field; see [`OnError`](crate::OnError).
    /// A file without rows, of which every row was rejected, which breaks off, or whose format cannot be told, is always an
    /// error.
    pub fn open(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Dataset, DatasetError> {
        let path = path.as_ref();
        let stamps = vec![Stamp::of(path)?];
        let (format, schema, array) = match detect(path, options)? {
            Detected::Tsv => {
                let (index, header, hash) = index_tsv(path, options)?;
                let backing = Backing::Tsv {
                    path: path.to_owned(),
                    header,
                };
                return Ok(Dataset::new(
                    backing,
                    Format::Tsv,
                    options,
                    index,
                    hash,
                    stamps,
                ));
            }
            Detected::Parquet => return open_parquet(path, options, stamps),
            Detected::Json {
                format,
                schema,
                array,
            } => (format, schema, array),
        };
        let layout = if array { Layout::Array } else { Layout::Lines };
        let mut scanner = Scanner::open(path, layout)?;
        let mut indexer = Indexer::new(path, options.on_error);
        let mut buffer = Vec::new();
        while let Some(place) = scanner.next(&mut buffer)? {
            indexer.add(
                place,
                schema::parse_json(&buffer, place.offset, schema, &options.fields),
            )?;
        }
        let backing = Backing::Json {
            path: path.to_owned(),
            schema,
            array,
        };
        let hash = scanner.finish()?.to_hex().to_string();
        Ok(Dataset::new(
            backing,
            format,
            options,
            indexer.finish()?,
            hash,
            stamps,
        ))
    }

    /// Opens two text files of which line n of `target` translates line n of `source`. A blank line is a row like any
    /// other, since skipping it would shift all that follow.
    ///
    /// # Errors
    /// As [`Dataset::open`]; [`DatasetError::ParallelLength`] if the files differ in length;
    /// [`DatasetError::FormatMismatch`] if `options` states another format.
    pub fn open_parallel(
        source: impl AsRef<Path>,
        target: impl AsRef<Path>,
        options: &ReadOptions,
    ) -> Result<Dataset, DatasetError> {
        let (source, target) = (source.as_ref(), target.as_ref());
        if let Some(format) = options.format.filter(|&f| f != Format::ParallelText) {
            return Err(DatasetError::FormatMismatch {
                file: source.to_owned(),
                reason: format!("two files are parallel-text, but the format stated is {format}"),
            });
        }
        let stamps = vec![Stamp::of(source)?, Stamp::of(target)?];
        let mut sources = Scanner::open(source, Layout::EveryLine)?;
        let mut targets = Scanner::open(target, Layout::EveryLine)?;
        let mut indexer = Indexer::new(source, options.on_error);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        let mut places = Vec::new();
        let (mut source_lines, mut target_lines) = (0_u64, 0_u64);
        loop {
            let (at_source, at_target) = (sources.next(&mut left)?, targets.next(&mut right)?);
            source_lines += u64::from(at_source.is_some());
            target_lines += u64::from(at_target.is_some());
            match (at_source, at_target) {
                (Some(at_source), Some(at_target)) => {
                    let (file, parsed) =
                        parse_pair((source, &left, at_source), (target, &right, at_target));
                    if indexer.add_from(file, at_source, parsed)? {
                        places.push(at_target);
                    }
                }
                (None, None) => break,
                // Go on counting: the message gives both lengths.
                _ => {}
            }
        }
        if source_lines != target_lines {
            return Err(DatasetError::ParallelLength {
                source_file: source.to_owned(),
                source_lines,
                target_file: target.to_owned(),
                target_lines,
            });
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(sources.finish()?.as_bytes());
        hasher.update(targets.finish()?.as_bytes());
        let hash = hasher.finalize().to_hex().to_string();
        let backing = Backing::Parallel {
            source: source.to_owned(),
            target: target.to_owned(),
            targets: places,
        };
        let index = indexer.finish()?;
        Ok(Dataset::new(
            backing,
            Format::ParallelText,
            options,
            index,
            hash,
            stamps,
        ))
    }

    fn new(
        backing: Backing,
        format: Format,
        options: &ReadOptions,
        index: Index,
        content_hash: String,
        stamps: Vec<Stamp>,
    ) -> Self {
        Dataset {
            backing,
            format,
            fields: options.fields.clone(),
            index,
            content_hash,
            stamps,
        }
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
            Backing::Json { path, .. } | Backing::Tsv { path, .. } => path,
            Backing::Parallel { source, .. } => source,
            #[cfg(feature = "parquet")]
            Backing::Parquet(file) => file.path(),
        }
    }

    /// The rows left out, with reasons (only when skipping).
    pub fn rejects(&self) -> &[Reject] {
        &self.index.rejects
    }

    /// BLAKE3 of the file's bytes in hexadecimal; of parallel files, BLAKE3 over the two hashes.
    pub fn content_hash(&self) -> &str {
        &self.content_hash
    }

    /// Reads the accepted rows at these positions, in order.
    ///
    /// # Errors
    /// [`DatasetError::OutOfRange`] beyond `len()`, [`DatasetError::Changed`] if the file is no longer what was opened,
    /// [`DatasetError::Io`].
    pub fn read(&self, rows: Range<usize>) -> Result<Vec<Sample>, DatasetError> {
        let mut samples = Vec::with_capacity(rows.len());
        self.visit(&rows.collect::<Vec<_>>(), |_, sample| {
            samples.push(sample);
            Ok(())
        })?;
        Ok(samples)
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
            Backing::Json { path, schema, .. } => {
                let mut file = RowReader::open(path)?;
                for &position in positions {
                    let place = self.index.rows[position];
                    let bytes = file.row(place)?;
                    let parsed = schema::parse_json(bytes, place.offset, *schema, &self.fields);
                    show([bytes, &[]], self.sample(path, position, parsed)?)?;
                }
            }
            Backing::Tsv { path, .. } => {
                let mut file = RowReader::open(path)?;
                for &position in positions {
                    let place = self.index.rows[position];
                    let bytes = file.row(place)?;
                    let parsed = schema::parse_tsv(bytes, place.offset);
                    show([bytes, &[]], self.sample(path, position, parsed)?)?;
                }
            }
            Backing::Parallel {
                source,
                target,
                targets,
            } => {
                let mut left = RowReader::open(source)?;
                let mut right = RowReader::open(target)?;
                for &position in positions {
                    let (at_left, at_right) = (self.index.rows[position], targets[position]);
                    let (left, right) = (left.row(at_left)?, right.row(at_right)?);
                    let (file, parsed) =
                        parse_pair((source, left, at_left), (target, right, at_right));
                    show([left, right], self.sample(file, position, parsed)?)?;
                }
            }
            #[cfg(feature = "parquet")]
            Backing::Parquet(file) => {
                let rows: Vec<u64> = positions
                    .iter()
                    .map(|&position| self.index.rows[position].index)
                    .collect();
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

    /// Refuses positions out of range and files that have changed.
    pub(crate) fn check(&self, positions: &[usize]) -> Result<(), DatasetError> {
        let len = self.len();
        if let Some(&position) = positions.iter().find(|&&position| position >= len) {
            return Err(DatasetError::OutOfRange {
                file: self.path().to_owned(),
                position,
                len,
            });
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

/// What tells a file apart from a later one of the same name.
#[derive(Debug)]
struct Stamp {
    path: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, DatasetError> {
        let metadata = fs::metadata(path).map_err(error::io("open", path))?;
        Ok(Stamp {
            path: path.to_owned(),
            len: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }

    fn check(&self) -> Result<(), DatasetError> {
        let now = Stamp::of(&self.path)?;
        let found = if now.len != self.len {
            format!("it had {} bytes, now {}", self.len, now.len)
        } else if now.modified != self.modified {
            "it was written again".to_owned()
        } else {
            return Ok(());
        };
        Err(DatasetError::Changed {
            file: self.path.clone(),
            found,
        })
    }
}

/// Reads rows by place; rows that follow each other cost no seek.
struct RowReader {
    reader: BufReader<File>,
    path: PathBuf,
    offset: u64,
    row: Vec<u8>,
}

impl RowReader {
    fn open(path: &Path) -> Result<Self, DatasetError> {
        Ok(RowReader {
            reader: BufReader::new(File::open(path).map_err(error::io("open", path))?),
            path: path.to_owned(),
            offset: 0,
            row: Vec::new(),
        })
    }

    fn row(&mut self, place: RowPlace) -> Result<&[u8], DatasetError> {
        let failed = error::io("read", &self.path);
        let moved = if let Ok(step) = i64::try_from(place.offset.wrapping_sub(self.offset)) {
            self.reader.seek_relative(step)
        } else {
            self.reader.seek(SeekFrom::Start(place.offset)).map(|_| ())
        };
        self.row.resize(place.len as usize, 0);
        let read = moved.and_then(|()| self.reader.read_exact(&mut self.row));
        read.map_err(failed)?;
        self.offset = place.offset + place.len;
        Ok(&self.row)
    }
}

/// One line of each parallel file, and the file to name if it cannot be read.
fn parse_pair<'a>(
    source: (&'a Path, &[u8], RowPlace),
    target: (&'a Path, &[u8], RowPlace),
) -> (&'a Path, Result<Parsed, Fault>) {
    let text = |(_, bytes, place): (&Path, &[u8], RowPlace)| {
        schema::text(bytes, place.offset).map(str::to_owned)
    };
    match (text(source), text(target)) {
        (Ok(left), Ok(right)) => {
            let content = Content::Translation {
                source: left,
                target: right,
            };
            (source.0, Ok((None, content)))
        }
        (Err(fault), _) => (source.0, Err(fault)),
        (_, Err(fault)) => (target.0, Err(fault)),
    }
}

/// The rows of a TSV file, its header if it has one, and its hash.
fn index_tsv(
    path: &Path,
    options: &ReadOptions,
) -> Result<(Index, Option<String>, String), DatasetError> {
    let header = format!("{}\t{}", options.fields.source, options.fields.target);
    let mut has_header = false;
    let mut scanner = Scanner::open(path, Layout::Lines)?;
    let mut indexer = Indexer::new(path, options.on_error);
    let mut buffer = Vec::new();
    while let Some(mut place) = scanner.next(&mut buffer)? {
        if place.index == 0 && buffer == header.as_bytes() {
            has_header = true;
            continue;
        }
        place.index -= u64::from(has_header);
        indexer.add(place, schema::parse_tsv(&buffer, place.offset))?;
    }
    let hash = scanner.finish()?.to_hex().to_string();
    Ok((indexer.finish()?, has_header.then_some(header), hash))
}

#[cfg(feature = "parquet")]
fn open_parquet(
    path: &Path,
    options: &ReadOptions,
    stamps: Vec<Stamp>,
) -> Result<Dataset, DatasetError> {
    let file = ParquetFile::open(path, &options.fields)?;
    let mut indexer = Indexer::new(path, options.on_error);
    let mut index = 0;
    file.visit_all(|parsed| {
        let place = RowPlace {
            offset: 0,
            len: 0,
            line: index + 1,
            index,
        };
        index += 1;
        indexer.add(place, parsed).map(|_| ())
    })?;
    let hash = scan::hash_file(path)?.to_hex().to_string();
    let index = indexer.finish()?;
    Ok(Dataset::new(
        Backing::Parquet(file),
        Format::Parquet,
        options,
        index,
        hash,
        stamps,
    ))
}

#[cfg(not(feature = "parquet"))]
fn open_parquet(path: &Path, _: &ReadOptions, _: Vec<Stamp>) -> Result<Dataset, DatasetError> {
    Err(DatasetError::FormatMismatch {
        file: path.to_owned(),
        reason: "this build cannot read Parquet; build with the feature `parquet`".to_owned(),
    })
}

enum Detected {
    Json {
        format: Format,
        schema: Schema,
        array: bool,
    },
    Tsv,
    Parquet,
}

/// Tells the format from the extension and the first row, or checks the one stated against the file.
fn detect(path: &Path, options: &ReadOptions) -> Result<Detected, DatasetError> {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_ascii_lowercase())
        .unwrap_or_default();
    match (options.format, extension.as_str()) {
        (Some(Format::ParallelText), _) => {
            return Err(DatasetError::FormatMismatch {
                file: path.to_owned(),
                reason: "parallel-text is two files: open both with `Dataset::open_parallel`"
                    .to_owned(),
            });
        }
        (Some(Format::Tsv), _) | (None, "tsv") => return Ok(Detected::Tsv),
        (Some(Format::Parquet), _) | (None, "parquet") => return Ok(Detected::Parquet),
        _ => {}
    }
    let Some(first) = scan::first_solid_byte(path)? else {
        return Err(DatasetError::Empty(path.to_owned()));
    };
    let array = first == b'[';
    let mismatch = |reason: &str| DatasetError::FormatMismatch {
        file: path.to_owned(),
        reason: reason.to_owned(),
    };
    let schema = match options.format {
        Some(Format::AlpacaJson) if !array => {
            return Err(mismatch(
                "alpaca-json is one JSON array, but the file does not begin with `[`; alpaca-jsonl has one object a line",
            ));
        }
        Some(Format::AlpacaJsonl) if array => {
            return Err(mismatch(
                "alpaca-jsonl has one object a line, but the file begins with `[`; alpaca-json is one JSON array",
            ));
        }
        Some(Format::AlpacaJson | Format::AlpacaJsonl) => Schema::Alpaca,
        Some(Format::Messages) => Schema::Messages,
        Some(Format::ShareGpt) => Schema::ShareGpt,
        Some(Format::TranslationJsonl) => Schema::Translation,
        Some(Format::Tsv | Format::ParallelText | Format::Parquet) | None => {
            detect_schema(path, &extension, first, &options.fields)?
        }
    };
    let format = match schema {
        Schema::Alpaca if array => Format::AlpacaJson,
        Schema::Alpaca => Format::AlpacaJsonl,
        Schema::Messages => Format::Messages,
        Schema::ShareGpt => Format::ShareGpt,
        Schema::Translation => Format::TranslationJsonl,
    };
    Ok(Detected::Json {
        format,
        schema,
        array,
    })
}

/// Looks at the first row that is a JSON object.
fn detect_schema(
    path: &Path,
    extension: &str,
    first_byte: u8,
    fields: &Fields,
) -> Result<Schema, DatasetError> {
    let unknown = |found| DatasetError::UnknownFormat {
        file: path.to_owned(),
        found,
    };
    let layout = match first_byte {
        b'[' => Layout::Array,
        b'{' => Layout::Lines,
        other => {
            return Err(unknown(format!(
                "the extension is `{extension}` and the first character `{}`, where JSON has {{ or [",
                other.escape_ascii()
            )));
        }
    };
    let mut scanner = Scanner::open(path, layout)?;
    let mut buffer = Vec::new();
    let mut first_fault = None;
    for _ in 0..ROWS_TRIED_FOR_FORMAT {
        let Some(place) = scanner.next(&mut buffer)? else {
            break;
        };
        let fault = match schema::json(&buffer, place.offset) {
            Ok(row) if row.is_object() => {
                return Schema::detect(&row, fields).ok_or_else(|| {
                    unknown(format!(
                        "the row on line {} has {}, and no format goes with them (other names can be given as `Fields`)",
                        place.line,
                        schema::keys(&row)
                    ))
                });
            }
            Ok(other) => schema::not_an_object(&other),
            Err(fault) => fault,
        };
        first_fault.get_or_insert_with(|| Reject {
            file: path.to_owned(),
            line: place.line,
            field: fault.field,
            reason: fault.reason,
        });
    }
    Err(match first_fault {
        Some(reject) => DatasetError::Row(reject),
        None => DatasetError::Empty(path.to_owned()),
    })
}
