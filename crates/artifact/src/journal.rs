//! The journal: one flat JSON object per committed shard, in the order of the commits.
//!
//! ```json
//! {"shard":"rows-00000","bytes":4096,"blake3":"…","after":"…","check":"…"}
//! {"finished":1,"after":"…","check":"…"}
//! ```
//! `check` covers the rest of its own line and so tells a torn line from a whole one. `after` is the
//! hash of the line before (of `manifest.json` for the first) and so ties the lines to their order and
//! to their manifest.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ArtifactError;
use crate::hash::hash_bytes;
use crate::line::{add_line, cut, is_torn, seal, unseal};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Record {
    Shard { shard: String, bytes: u64, blake3: String },
    Finished { finished: u64 },
}

/// A record and the hash of the line before it.
#[derive(Serialize, Deserialize)]
struct Body {
    #[serde(flatten)]
    record: Record,
    after: String,
}

impl Body {
    fn to_line(&self) -> Result<String, serde_json::Error> {
        Ok(seal(serde_json::to_string(self)?))
    }

    /// Takes a line apart; the error says why it is none.
    fn from_line(line: &[u8]) -> Result<Self, &'static str> {
        serde_json::from_str(&unseal(line)?).map_err(|_| "is not a journal record")
    }
}

/// What a journal says, and how much of it is whole.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) records: Vec<Record>,
    /// Bytes up to the end of the last whole line; beyond is a torn line or nothing.
    pub(crate) whole: u64,
    /// Hash of the last whole line, or of the manifest.
    pub(crate) head: String,
}

/// Reads a journal that follows a manifest with hash `manifest`.
///
/// A last line that is torn is left out. Anything else that is wrong is refused.
pub(crate) fn replay(path: &Path, bytes: &[u8], manifest: &str) -> Result<Replay, ArtifactError> {
    let refuse = |line: usize, reason: &str| ArtifactError::Journal {
        path: path.to_owned(),
        line: line + 1,
        reason: reason.to_owned(),
    };
    let mut replay = Replay { records: Vec::new(), whole: 0, head: manifest.to_owned() };
    for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let last = replay.whole as usize + line.len() == bytes.len();
        let body = match Body::from_line(line) {
            Ok(body) => body,
            Err(_) if last && is_torn(line) => break, // its shard was not committed
            Err(reason) => return Err(refuse(number, reason)),
        };
        if body.after != replay.head {
            return Err(refuse(
                number,
                if number == 0 {
                    "does not follow this manifest.json, which was changed or replaced"
                } else {
                    "does not follow the line before it: lines were changed, removed or moved"
                },
            ));
        }
        if matches!(replay.records.last(), Some(Record::Finished { .. })) {
            return Err(refuse(number, "comes after the store was finished"));
        }
        replay.records.push(body.record);
        replay.whole += line.len() as u64;
        replay.head = hash_bytes(line);
    }
    Ok(replay)
}

/// Appends to a journal.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    path: PathBuf,
    file: File,
    len: u64,
    head: String,
}

impl JournalWriter {
    /// Goes on after what [`replay`] read; a torn last line is cut off.
    pub(crate) fn resume(path: &Path, replay: &Replay) -> Result<Self, ArtifactError> {
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(ArtifactError::io("open for writing", path))?;
        let writer =
            Self { path: path.to_owned(), file, len: replay.whole, head: replay.head.clone() };
        cut(&writer.file, writer.len).map_err(ArtifactError::io("cut a torn line off", path))?;
        Ok(writer)
    }

    /// Hash of the last line, or of the manifest.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// Adds one record and flushes it to the disk.
    pub(crate) fn append(&mut self, record: Record) -> Result<(), ArtifactError> {
        let line = Body { record, after: self.head.clone() }.to_line().map_err(|source| {
            ArtifactError::BadField { field: "journal record".to_owned(), source }
        })?;
        add_line(&mut self.file, &self.path, self.len, &line)?;
        self.len += line.len() as u64;
        self.head = hash_bytes(line.as_bytes());
        Ok(())
    }
}
