//! Files named in a run record: what was read and what was written.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::ReportError;

/// A file or folder with its size and content hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Path as it was given.
    pub path: PathBuf,
    /// Bytes of the file, or of all files in the folder.
    pub bytes: u64,
    /// BLAKE3 in hexadecimal. Of a folder: over the sorted lines `<hash> <bytes> <relative path>`
    /// of the files in it, at any depth.
    pub blake3: String,
}

impl FileRecord {
    /// Reads the file, or every file of the folder, once.
    pub fn of(path: impl AsRef<Path>) -> Result<Self, ReportError> {
        let path = path.as_ref();
        if !path.is_dir() {
            let (bytes, hash) = hash_file(path)?;
            return Ok(Self { path: path.to_owned(), bytes, blake3: hash.to_hex().to_string() });
        }
        let mut files = Vec::new();
        collect(path, &mut files)?;
        // By their names inside the folder, joined by "/" on every system.
        let mut named: Vec<(String, PathBuf)> =
            files.into_iter().map(|file| (relative_name(path, &file), file)).collect();
        named.sort();
        let mut whole = blake3::Hasher::new();
        let mut total = 0;
        for (name, file) in named {
            let (bytes, hash) = hash_file(&file)?;
            total += bytes;
            whole.update(format!("{} {bytes} {name}\n", hash.to_hex()).as_bytes());
        }
        Ok(Self {
            path: path.to_owned(),
            bytes: total,
            blake3: whole.finalize().to_hex().to_string(),
        })
    }
}

fn hash_file(path: &Path) -> Result<(u64, blake3::Hash), ReportError> {
    let read = || -> io::Result<(u64, blake3::Hash)> {
        let mut file = File::open(path)?;
        let mut hasher = blake3::Hasher::new();
        let bytes = io::copy(&mut file, &mut hasher)?;
        Ok((bytes, hasher.finalize()))
    };
    read().map_err(|source| unreadable(path, source))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), ReportError> {
    let entries = fs::read_dir(folder).map_err(|source| unreadable(folder, source))?;
    for entry in entries {
        let path = entry.map_err(|source| unreadable(folder, source))?.path();
        // Follows links: model folders are often links into a cache.
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn relative_name(folder: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(folder).unwrap_or(file);
    let parts: Vec<_> =
        inside.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

fn unreadable(path: &Path, source: io::Error) -> ReportError {
    ReportError::File { action: "read", path: path.to_owned(), source }
}
