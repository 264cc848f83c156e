//! `trainer.json`: what of a checkpoint is not a tensor, and the checksums of its other files.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tamis_artifact::{hash_bytes, hash_file, write_atomic};

use crate::FinetuneError;
use crate::progress::Progress;

/// Its name; a folder without it is no checkpoint.
pub(crate) const STATE: &str = "trainer.json";
/// Raised when older checkpoints cannot be read any more.
const FORMAT: u32 = 2;

/// Length and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum {
    bytes: u64,
    blake3: String,
}

/// What `trainer.json` holds, besides a checksum of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    format: u32,
    /// What decides the run: settings, starting weights, data.
    pub(crate) run: Map<String, Value>,
    pub(crate) progress: Progress,
    /// Every other file of the folder.
    files: BTreeMap<String, Sum>,
}

impl State {
    /// Describes the files in `dir` and writes `trainer.json` beside them.
    pub(crate) fn write(
        dir: &Path,
        run: Map<String, Value>,
        progress: Progress,
    ) -> Result<(), FinetuneError> {
        let list = FinetuneError::io("list", dir);
        let entries = fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut files = BTreeMap::new();
        for entry in entries.map_err(list)? {
            files.insert(entry.file_name().to_string_lossy().into_owned(), sum(&entry.path())?);
        }
        let path = dir.join(STATE);
        let json = |source| FinetuneError::Json { path: path.clone(), source };
        let state = serde_json::to_value(Self { format: FORMAT, run, progress, files });
        let mut state = state.map_err(json)?;
        let check = hash_bytes(state.to_string().as_bytes());
        if let Value::Object(fields) = &mut state {
            fields.insert("check".to_owned(), check.into());
        }
        let text = serde_json::to_string_pretty(&state).map_err(json)?;
        Ok(write_atomic(&path, text + "\n")?)
    }

    /// Reads `trainer.json` and checks it and every file it lists.
    pub(crate) fn read(dir: &Path) -> Result<Self, FinetuneError> {
        let state = Self::alone(dir)?;
        state.check_files(dir)?;
        Ok(state)
    }

    /// Reads and checks `trainer.json` alone.
    pub(crate) fn alone(dir: &Path) -> Result<Self, FinetuneError> {
        let path = dir.join(STATE);
        let damaged = |problem: String| FinetuneError::Damaged { path: path.clone(), problem };
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged("it is missing".to_owned()));
            }
            text => text.map_err(FinetuneError::io("read", &path))?,
        };
        let bad = |source: serde_json::Error| damaged(source.to_string());
        let mut fields: Map<String, Value> = serde_json::from_slice(&text).map_err(bad)?;
        let format = fields.get("format").cloned().unwrap_or_default();
        if format != FORMAT {
            return Err(damaged(format!("its format is {format}, expected {FORMAT}")));
        }
        let check = fields.remove("check");
        let state = Value::Object(fields);
        if check != Some(hash_bytes(state.to_string().as_bytes()).into()) {
            return Err(damaged("its bytes have changed since they were written".to_owned()));
        }
        serde_json::from_value(state).map_err(bad)
    }

    /// Names and checksums of the other files, by name.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(name, sum)| (name.as_str(), sum.blake3.as_str()))
    }

    fn check_files(&self, dir: &Path) -> Result<(), FinetuneError> {
        for (name, expected) in &self.files {
            let path = dir.join(name);
            let found = match sum(&path) {
                Err(FinetuneError::Io { source, .. })
                    if source.kind() == io::ErrorKind::NotFound =>
                {
                    return Err(FinetuneError::Damaged {
                        path,
                        problem: "it is missing".to_owned(),
                    });
                }
                found => found?,
            };
            if found != *expected {
                let problem = if found.bytes == expected.bytes {
                    "its bytes have changed since they were written".to_owned()
                } else {
                    format!("it has {} bytes, expected {}", found.bytes, expected.bytes)
                };
                return Err(FinetuneError::Damaged { path, problem });
            }
        }
        Ok(())
    }
}

fn sum(path: &Path) -> Result<Sum, FinetuneError> {
    let bytes = fs::metadata(path).map_err(FinetuneError::io("read", path))?.len();
    let blake3 = hash_file(path)?;
    Ok(Sum { bytes, blake3 })
}
