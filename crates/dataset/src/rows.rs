//! Going back to rows of a file that was opened before.

use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{self, DatasetError};
use crate::scan::RowPlace;

/// What tells a file apart from a later one of the same name.
#[derive(Debug)]
pub(crate) struct Stamp {
    path: PathBuf,
    len: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> Result<Self, DatasetError> {
        let metadata = fs::metadata(path).map_err(error::io("open", path))?;
        Ok(Stamp { path: path.to_owned(), len: metadata.len(), modified: metadata.modified().ok() })
    }

    pub(crate) fn check(&self) -> Result<(), DatasetError> {
        let now = Stamp::of(&self.path)?;
        let found = if now.len != self.len {
            format!("it had {} bytes, now {}", self.len, now.len)
        } else if now.modified != self.modified {
            "it was written again".to_owned()
        } else {
            return Ok(());
        };
        Err(DatasetError::Changed { file: self.path.clone(), found })
    }
}

/// Reads rows by place; rows that follow each other cost no seek.
pub(crate) struct RowReader {
    reader: BufReader<File>,
    path: PathBuf,
    offset: u64,
    row: Vec<u8>,
}

impl RowReader {
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        Ok(RowReader {
            reader: BufReader::new(File::open(path).map_err(error::io("open", path))?),
            path: path.to_owned(),
            offset: 0,
            row: Vec::new(),
        })
    }

    pub(crate) fn row(&mut self, place: RowPlace) -> Result<&[u8], DatasetError> {
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
