//! Opening: the one pass that checks every row and records where it lies.

use std::path::Path;

#[cfg(feature = "parquet")]
use crate::columns::ParquetFile;
use crate::dataset::{Backing, Dataset, parse_pair};
use crate::detect::{Detected, detect};
use crate::error::DatasetError;
use crate::format::Format;
use crate::index::{Index, Indexer};
use crate::params::ReadOptions;
use crate::rows::{Handle, Stamp};
#[cfg(feature = "parquet")]
use crate::scan::{self, RowPlace};
use crate::scan::{Layout, Scanner};
use crate::schema::{self, Schema};

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
                let backing = Backing::Tsv { file: Handle::open(path)?, header };
                return Ok(Dataset::new(backing, Format::Tsv, options, index, hash, stamps));
            }
            Detected::Parquet(schema) => return open_parquet(path, schema, options, stamps),
            Detected::Json { format, schema, array } => (format, schema, array),
        };
        let layout = if array { Layout::Array } else { Layout::Lines };
        let mut scanner = Scanner::open(path, layout)?;
        let mut indexer = Indexer::new(path, options.on_error);
        let mut buffer = Vec::new();
        while let Some(place) = scanner.next(&mut buffer)? {
            indexer
                .add(place, schema::parse_json(&buffer, place.offset, schema, &options.fields))?;
        }
        let backing = Backing::Json { file: Handle::open(path)?, schema, array };
        let hash = scanner.finish()?.to_hex().to_string();
        Ok(Dataset::new(backing, format, options, indexer.finish()?, hash, stamps))
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
            source: Handle::open(source)?,
            target: Handle::open(target)?,
            targets: places,
        };
        let index = indexer.finish()?;
        Ok(Dataset::new(backing, Format::ParallelText, options, index, hash, stamps))
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
    schema: Option<Schema>,
    options: &ReadOptions,
    stamps: Vec<Stamp>,
) -> Result<Dataset, DatasetError> {
    let file = ParquetFile::open(path, schema, &options.fields)?;
    let mut indexer = Indexer::new(path, options.on_error);
    let mut index = 0;
    file.visit_all(|parsed| {
        let place = RowPlace { offset: 0, len: 0, line: index + 1, index };
        index += 1;
        indexer.add(place, parsed).map(|_| ())
    })?;
    let hash = scan::hash_file(path)?.to_hex().to_string();
    let index = indexer.finish()?;
    Ok(Dataset::new(Backing::Parquet(file), Format::Parquet, options, index, hash, stamps))
}

#[cfg(not(feature = "parquet"))]
fn open_parquet(
    path: &Path,
    _: Option<Schema>,
    _: &ReadOptions,
    _: Vec<Stamp>,
) -> Result<Dataset, DatasetError> {
    Err(DatasetError::FormatMismatch {
        file: path.to_owned(),
        reason: "this build cannot read Parquet; build with the feature `parquet`".to_owned(),
    })
}
