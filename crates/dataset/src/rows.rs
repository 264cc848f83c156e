//! Going back to rows of a file that was opened before.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{self, DatasetError};
use crate::scan::RowPlace;

/// The most that is read at once for rows that follow each other; a longer row is read whole.
const READ_BYTES: u64 = 1 << 16;

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

/// A file kept open, read at any place by any thread.
#[derive(Debug)]
pub(crate) struct Handle {
    path: PathBuf,
    file: File,
    /// Where a read moves the file's own position, one at a time.
    #[cfg(not(unix))]
    turn: std::sync::Mutex<()>,
}

impl Handle {
    pub(crate) fn open(path: &Path) -> Result<Self, DatasetError> {
        Ok(Handle {
            path: path.to_owned(),
            file: File::open(path).map_err(error::io("open", path))?,
            #[cfg(not(unix))]
            turn: std::sync::Mutex::new(()),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    #[cfg(unix)]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, buffer, offset)
    }

    #[cfg(not(unix))]
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let _turn = self.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        (&self.file).seek(SeekFrom::Start(offset))?;
        (&self.file).read_exact(buffer)
    }
}

/// Reads rows of a file; rows that lie close together and are asked for one after the other come with one read.
pub(crate) struct RowReader<'a> {
    handle: &'a Handle,
    /// Where the bytes held begin.
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> RowReader<'a> {
    pub(crate) fn new(handle: &'a Handle) -> Self {
        RowReader { handle, start: 0, bytes: Vec::new() }
    }

    /// The bytes of the first of these places; the others are those that will be asked for next.
    pub(crate) fn row(
        &mut self,
        mut places: impl Iterator<Item = RowPlace>,
    ) -> Result<&[u8], DatasetError> {
        let Some(place) = places.next() else {
            return Ok(&[]);
        };
        let end = place.offset + place.len;
        let held = self.start..self.start + self.bytes.len() as u64;
        if place.offset < held.start || end > held.end {
            let limit = place.offset + READ_BYTES;
            let ahead = places
                .map(|next| (next.offset, next.offset + next.len))
                .take_while(|&(first, last)| first >= place.offset && last <= limit)
                .fold(end, |end, (_, last)| end.max(last));
            self.start = place.offset;
            self.bytes.resize((ahead - place.offset) as usize, 0);
            let read = self.handle.read_exact_at(&mut self.bytes, place.offset);
            if let Err(error) = read {
                self.bytes.clear();
                return Err(error::io("read", &self.handle.path)(error));
            }
        }
        let from = (place.offset - self.start) as usize;
        Ok(&self.bytes[from..from + place.len as usize])
    }
}
