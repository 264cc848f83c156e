//! A file of records that is added to one record at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ArtifactError;
use crate::atomic::sync_folder;
use crate::line::{add_line, cut, is_torn, seal, unseal};
use crate::manifest::Manifest;

/// A file of JSON lines that takes one record after another, each on the disk before
/// [`append`](Self::append) returns.
///
/// It is for work that comes in many small, dear pieces, such as the answers of a paid service; what
/// comes in large ones belongs into a [`Store`](crate::Store). The first line is the manifest, every
/// other line a record, and each ends in its checksum:
///
/// ```json
/// {"kind":"answers","format":1,"fields":{"model":"…"},"check":"…"}
/// {"key":"…","text":"…","check":"…"}
/// ```
///
/// A process that dies in the middle of a line loses that line and nothing else.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    len: u64,
}

impl Ledger {
    /// Makes the file, or opens it to go on; gives the records that are in it, in their order. A file
    /// without a record is begun anew.
    ///
    /// # Errors
    /// [`Mismatch`](ArtifactError::Mismatch) names every field in which an existing file's manifest
    /// differs; [`Locked`](ArtifactError::Locked) if another process has it open;
    /// [`Ledger`](ArtifactError::Ledger) names the line that was damaged or is no record.
    pub fn open<T: DeserializeOwned>(
        path: impl AsRef<Path>,
        manifest: &Manifest,
    ) -> Result<(Self, Vec<T>), ArtifactError> {
        let path = path.as_ref().to_owned();
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let mut file = file.map_err(ArtifactError::io("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArtifactError::Locked { dir: path }),
            Err(TryLockError::Error(source)) => {
                return Err(ArtifactError::Io { action: "lock", path, source });
            }
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(ArtifactError::io("read", &path))?;
        let found = parse(&path, &bytes)?;
        let mut whole = found.whole;
        if let Some(made_from) = &found.manifest {
            let differences = made_from.differences(manifest);
            if !differences.is_empty() {
                // Where there is no record yet, there is nothing that could be mixed up.
                let same = (&made_from.kind, made_from.format) == (&manifest.kind, manifest.format);
                if !found.records.is_empty() || !same {
                    return Err(ArtifactError::Mismatch { dir: path, differences });
                }
                whole = 0;
            }
        }
        let mut ledger = Self { path, file, len: whole };
        cut(&ledger.file, whole).map_err(ArtifactError::io("cut a torn line off", &ledger.path))?;
        if whole == 0 {
            ledger.append(manifest)?;
            let folder = ledger.path.parent().filter(|folder| *folder != Path::new(""));
            let folder = folder.unwrap_or(Path::new("."));
            sync_folder(folder).map_err(ArtifactError::io("flush", folder))?;
        }
        Ok((ledger, found.records))
    }

    /// The manifest and the records of a file that is only read. A torn last line is left out.
    ///
    /// # Errors
    /// [`Ledger`](ArtifactError::Ledger) names the line that was damaged or is no record.
    pub fn read<T: DeserializeOwned>(
        path: impl AsRef<Path>,
    ) -> Result<(Manifest, Vec<T>), ArtifactError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(ArtifactError::io("read", path))?;
        let found = parse(path, &bytes)?;
        let manifest = found.manifest.ok_or_else(|| ArtifactError::Ledger {
            path: path.to_owned(),
            line: 1,
            reason: "there is no manifest".to_owned(),
        })?;
        Ok((manifest, found.records))
    }

    /// Adds a record, which must be a JSON object with a field or more, and flushes it to the disk.
    ///
    /// # Errors
    /// [`Write`](ArtifactError::Write) for a full disk: what was there before stays whole.
    pub fn append<T: Serialize>(&mut self, record: &T) -> Result<(), ArtifactError> {
        let bad = |source| ArtifactError::BadField { field: "record".to_owned(), source };
        let text = serde_json::to_string(record).map_err(bad)?;
        if !text.starts_with("{\"") {
            return Err(bad(serde::de::Error::custom("it is not an object with fields")));
        }
        let line = seal(text);
        add_line(&mut self.file, &self.path, self.len, &line)?;
        self.len += line.len() as u64;
        Ok(())
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Ledger {
    /// Gives the lock back by name. Closing the file is not enough: a process that is just being
    /// started elsewhere in the program has a copy of the handle until it runs, and the lock with it.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

/// What a file says, and how much of it is whole.
struct Found<T> {
    manifest: Option<Manifest>,
    records: Vec<T>,
    whole: u64,
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<Found<T>, ArtifactError> {
    let mut found = Found { manifest: None, records: Vec::new(), whole: 0 };
    for (number, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let refuse = |reason: String| ArtifactError::Ledger {
            path: path.to_owned(),
            line: number + 1,
            reason,
        };
        let last = found.whole as usize + line.len() == bytes.len();
        let object = match unseal(line) {
            Ok(object) => object,
            Err(_) if last && is_torn(line) => break,
            Err(reason) => return Err(refuse(reason.to_owned())),
        };
        let strange = |error: serde_json::Error| refuse(format!("is not as expected: {error}"));
        if number == 0 {
            found.manifest = Some(serde_json::from_str(&object).map_err(strange)?);
        } else {
            found.records.push(serde_json::from_str(&object).map_err(strange)?);
        }
        found.whole += line.len() as u64;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_goes_with_the_ledger() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("ledger");
        let manifest = Manifest::new("test", 1);
        let (ledger, _) = Ledger::open::<Manifest>(&path, &manifest)?;
        // As a process that is being started has it.
        let copy = ledger.file.try_clone()?;
        let refusal = Ledger::open::<Manifest>(&path, &manifest);
        assert!(matches!(refusal, Err(ArtifactError::Locked { .. })));
        drop(ledger);
        Ledger::open::<Manifest>(&path, &manifest)?;
        drop(copy);
        Ok(())
    }
}
