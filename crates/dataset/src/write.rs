//! Writing chosen rows back as they came.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::dataset::{Backing, Dataset};
use crate::error::{self, DatasetError};
use crate::sample::{Content, Sample};

impl Dataset {
    /// Writes the accepted rows at `positions`, in this order, into the folder `dir` (made if missing), and returns the
    /// files written.
    ///
    /// `<stem>.jsonl` is always written. JSON lines are given back byte for byte; elements of a JSON array one a line
    /// with the whitespace between their parts removed, keys in order and numbers as spelt. The other formats have lines
    /// that are not JSON: they get a rendering (`id` with `src` and `tgt`, or with the fields of an Alpaca row), and
    /// beside it the rows in their own format: `<stem>.tsv`, `<stem>.source.txt` and `<stem>.target.txt`, or
    /// `<stem>.parquet`.
    ///
    /// A file appears under its name when it is complete, never in part.
    ///
    /// # Errors
    /// As [`Dataset::read`]; [`DatasetError::Io`] names the file if the disk is full.
    pub fn write_rows(
        &self,
        positions: &[usize],
        dir: &Path,
        stem: &str,
    ) -> Result<Vec<PathBuf>, DatasetError> {
        self.check(positions)?;
        fs::create_dir_all(dir).map_err(error::io("make the folder", dir))?;
        let path = |suffix: &str| dir.join(format!("{stem}.{suffix}"));
        let mut lines = WholeFile::create(path("jsonl"))?;
        match &self.backing {
            Backing::Json { array, .. } => {
                let mut compact = Vec::new();
                self.visit(positions, |[row, _], _| {
                    if *array {
                        compact.clear();
                        without_whitespace(row, &mut compact);
                        lines.line(&compact)
                    } else {
                        lines.line(row)
                    }
                })?;
                Ok(vec![lines.finish()?])
            }
            Backing::Tsv { header, .. } => {
                let mut native = WholeFile::create(path("tsv"))?;
                if let Some(header) = header {
                    native.line(header.as_bytes())?;
                }
                self.visit(positions, |[row, _], sample| {
                    native.line(row)?;
                    lines.line(rendering(&sample).as_bytes())
                })?;
                Ok(vec![lines.finish()?, native.finish()?])
            }
            Backing::Parallel { .. } => {
                let mut sources = WholeFile::create(path("source.txt"))?;
                let mut targets = WholeFile::create(path("target.txt"))?;
                self.visit(positions, |[source, target], sample| {
                    sources.line(source)?;
                    targets.line(target)?;
                    lines.line(rendering(&sample).as_bytes())
                })?;
                Ok(vec![lines.finish()?, sources.finish()?, targets.finish()?])
            }
            #[cfg(feature = "parquet")]
            Backing::Parquet(file) => {
                self.visit(positions, |_, sample| lines.line(rendering(&sample).as_bytes()))?;
                let rows: Vec<u64> =
                    positions.iter().map(|&position| self.index.rows[position].index).collect();
                let mut native = WholeFile::create(path("parquet"))?;
                file.copy_rows(&rows, native.writer(), &path("parquet"))?;
                Ok(vec![lines.finish()?, native.finish()?])
            }
        }
    }
}

/// A row that is not JSON as a line of JSON, with its id, so that it keeps its name when it is read again.
fn rendering(sample: &Sample) -> String {
    let mut row = Map::new();
    let mut put = |key: &str, text: &str| row.insert(key.to_owned(), Value::from(text));
    put("id", sample.id.as_str());
    match &sample.content {
        Content::Translation { source, target } => {
            put("src", source);
            put("tgt", target);
        }
        Content::Instruction { instruction, input, output } => {
            put("instruction", instruction);
            put("input", input);
            put("output", output);
        }
        Content::Chat { messages } => {
            let turns = messages
                .iter()
                .map(|turn| serde_json::json!({"role": turn.role, "content": turn.content}))
                .collect();
            row.insert("messages".to_owned(), Value::Array(turns));
        }
    }
    Value::Object(row).to_string()
}

/// Copies JSON without the whitespace between its parts.
fn without_whitespace(json: &[u8], out: &mut Vec<u8>) {
    let mut in_string = false;
    let mut escaped = false;
    for &byte in json {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte == b'"' {
            in_string = true;
        } else if byte.is_ascii_whitespace() {
            continue;
        }
        out.push(byte);
    }
}

/// A file written under a temporary name beside its own and renamed when it is complete.
pub(crate) struct WholeFile {
    path: PathBuf,
    temporary: PathBuf,
    writer: BufWriter<File>,
    finished: bool,
}

impl WholeFile {
    pub(crate) fn create(path: PathBuf) -> Result<Self, DatasetError> {
        // Always the same name: what a killed process left is written over by the next.
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".tmp");
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary).map_err(error::io("create", &temporary))?;
        Ok(WholeFile { path, temporary, writer: BufWriter::new(file), finished: false })
    }

    #[cfg(feature = "parquet")]
    fn writer(&mut self) -> &mut BufWriter<File> {
        &mut self.writer
    }

    pub(crate) fn bytes(&mut self, text: &str) -> Result<(), DatasetError> {
        self.writer.write_all(text.as_bytes()).map_err(error::io("write", &self.path))
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), DatasetError> {
        self.writer
            .write_all(bytes)
            .and_then(|()| self.writer.write_all(b"\n"))
            .map_err(error::io("write", &self.path))
    }

    pub(crate) fn finish(mut self) -> Result<PathBuf, DatasetError> {
        self.writer
            .flush()
            .and_then(|()| self.writer.get_ref().sync_all())
            .map_err(error::io("write", &self.path))?;
        fs::rename(&self.temporary, &self.path).map_err(error::io("rename to", &self.path))?;
        self.finished = true;
        Ok(self.path.clone())
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: the error that got us here matters more than a file left behind.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
