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
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ArtifactError;
use crate::hash::hash_bytes;

const CHECK_NAME: &str = ",\"check\":\"";
/// Hexadecimal digits of a line's own checksum: 64 bits against tearing.
const CHECK_DIGITS: usize = 16;
const LINE_END: &str = "\"}";

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
        let mut line = serde_json::to_string(self)?;
        let check = hash_bytes(line.as_bytes());
        line.pop(); // the closing brace, which comes back behind the checksum
        Ok(line + CHECK_NAME + &check[..CHECK_DIGITS] + LINE_END)
    }

    /// Takes a line apart; the error says why it is none.
    fn from_line(line: &[u8]) -> Result<Self, &'static str> {
        let tail = CHECK_NAME.len() + CHECK_DIGITS + LINE_END.len();
        let text = str::from_utf8(line).map_err(|_| "is not UTF-8")?;
        let cut = text.len().checked_sub(tail).ok_or("is too short")?;
        let (body, tail) = text.split_at_checked(cut).ok_or("does not end in its checksum")?;
        let check = tail
            .strip_prefix(CHECK_NAME)
            .and_then(|rest| rest.strip_suffix(LINE_END))
            .ok_or("does not end in its checksum")?;
        let body = format!("{body}}}");
        if hash_bytes(body.as_bytes())[..CHECK_DIGITS] != *check {
            return Err("does not match its checksum");
        }
        serde_json::from_str(&body).map_err(|_| "is not a journal record")
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
        let body = match line.strip_suffix(b"\n").ok_or("has no end").and_then(Body::from_line) {
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

/// Whether a line may be a piece of one that a crash cut short.
///
/// A process that dies leaves a line without its end. A machine that dies may also leave blocks that
/// were never written, which read as zeros. Anything else is damage.
fn is_torn(line: &[u8]) -> bool {
    !line.ends_with(b"\n") || line.contains(&0)
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
        writer.cut().map_err(ArtifactError::io("cut a torn line off", path))?;
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
        })? + "\n";
        // A failed append may have left a piece of a line; the next one must not follow it.
        let result = self
            .cut()
            .and_then(|()| self.file.write_all(line.as_bytes()))
            .and_then(|()| self.file.sync_all());
        result.map_err(|source| ArtifactError::Write {
            path: self.path.clone(),
            bytes: line.len() as u64,
            source,
        })?;
        self.len += line.len() as u64;
        self.head = hash_bytes(line.as_bytes());
        Ok(())
    }

    fn cut(&self) -> io::Result<()> {
        if self.file.metadata()?.len() == self.len {
            return Ok(());
        }
        self.file.set_len(self.len)?;
        self.file.sync_all()
    }
}
