//! Writing chosen rows back as they came.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tamis_artifact::AtomicFile;

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
    /// As [`Dataset::read`]; [`DatasetError::Artifact`] names the file if the disk is full.
    pub fn write_rows(
        &self,
        positions: &[usize],
        dir: &Path,
        stem: &str,
    ) -> Result<Vec<PathBuf>, DatasetError> {
        self.check(positions)?;
        fs::create_dir_all(dir).map_err(error::io("make the folder", dir))?;
        let path = |suffix: &str| dir.join(format!("{stem}.{suffix}"));
        let mut lines = AtomicFile::create(path("jsonl"))?;
        match &self.backing {
            Backing::Json { array, .. } => {
                let mut compact = Vec::new();
                self.visit(positions, |[row, _], _| {
                    if *array {
                        compact.clear();
                        without_whitespace(row, &mut compact);
                        line(&mut lines, &compact)
                    } else {
                        line(&mut lines, row)
                    }
                })?;
                Ok(vec![lines.commit()?])
            }
            Backing::Tsv { header, .. } => {
                let mut native = AtomicFile::create(path("tsv"))?;
                if let Some(header) = header {
                    line(&mut native, header.as_bytes())?;
                }
                self.visit(positions, |[row, _], sample| {
                    line(&mut native, row)?;
                    line(&mut lines, rendering(&sample).as_bytes())
                })?;
                Ok(vec![lines.commit()?, native.commit()?])
            }
            Backing::Parallel { .. } => {
                let mut sources = AtomicFile::create(path("source.txt"))?;
                let mut targets = AtomicFile::create(path("target.txt"))?;
                self.visit(positions, |[source, target], sample| {
                    line(&mut sources, source)?;
                    line(&mut targets, target)?;
                    line(&mut lines, rendering(&sample).as_bytes())
                })?;
                Ok(vec![lines.commit()?, sources.commit()?, targets.commit()?])
            }
            #[cfg(feature = "parquet")]
            Backing::Parquet(file) => {
                self.visit(positions, |_, sample| line(&mut lines, rendering(&sample).as_bytes()))?;
                let rows: Vec<u64> =
                    positions.iter().map(|&position| self.index.rows[position].index).collect();
                let mut native = AtomicFile::create(path("parquet"))?;
                file.copy_rows(&rows, &mut native, &path("parquet"))?;
                Ok(vec![lines.commit()?, native.commit()?])
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

fn line(file: &mut AtomicFile, bytes: &[u8]) -> Result<(), DatasetError> {
    file.put(bytes)?;
    Ok(file.put("\n")?)
}
