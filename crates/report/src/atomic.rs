//! Files that appear complete or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::ReportError;

/// A file under way: bytes go to a hidden sibling `.<name>.part`, and [`commit`](Self::commit) puts
/// it in place. Dropped without a commit, the sibling is removed and the target is as it was.
///
/// The sibling's name is fixed, so what a killed run left behind is overwritten by the next one.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    target: PathBuf,
    part: PathBuf,
    /// `None` once committed.
    file: Option<BufWriter<File>>,
}

impl AtomicFile {
    pub(crate) fn create(target: &Path) -> Result<Self, ReportError> {
        let name = target.file_name().ok_or_else(|| ReportError::File {
            action: "create",
            path: target.to_owned(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"),
        })?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".part");
        let part = target.with_file_name(hidden);
        let file = File::create(&part).map_err(|source| ReportError::File {
            action: "create",
            path: part.clone(),
            source,
        })?;
        Ok(Self { target: target.to_owned(), part, file: Some(BufWriter::new(file)) })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ReportError> {
        let written = self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes));
        written.map_err(|source| self.failed("write", source))
    }

    /// Where to write for libraries that write themselves.
    #[cfg(feature = "parquet")]
    pub(crate) fn writer(&mut self) -> impl Write + Send {
        Through(self.file.as_mut())
    }

    /// Flushes to the disk, renames over the target and makes the rename durable.
    pub(crate) fn commit(mut self) -> Result<(), ReportError> {
        if let Some(mut file) = self.file.take() {
            let placed = file
                .flush()
                .and_then(|()| file.get_ref().sync_all())
                .map_err(|source| self.failed("write", source))
                .and_then(|()| {
                    fs::rename(&self.part, &self.target)
                        .map_err(|source| self.failed("rename into place", source))
                });
            if placed.is_err() {
                // The first error is the one to tell; the sibling is only litter.
                let _ = fs::remove_file(&self.part);
            }
            placed?;
            sync_folder(&self.target)?;
        }
        Ok(())
    }

    fn failed(&self, action: &'static str, source: io::Error) -> ReportError {
        ReportError::File { action, path: self.target.clone(), source }
    }
}

/// Writes into a file that is not committed yet.
#[cfg(feature = "parquet")]
struct Through<'a>(Option<&'a mut BufWriter<File>>);

#[cfg(feature = "parquet")]
impl Write for Through<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Some(file) => file.write(bytes),
            None => Err(io::Error::other("the file is committed already")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Writes a whole file at once, atomically.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ReportError> {
    let mut file = AtomicFile::create(path)?;
    file.write(bytes)?;
    file.commit()
}

/// On Unix a rename is durable only once its folder is; elsewhere folders cannot be opened.
#[cfg(unix)]
fn sync_folder(target: &Path) -> Result<(), ReportError> {
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|handle| handle.sync_all()).map_err(|source| ReportError::File {
        action: "make durable the folder",
        path: folder.to_owned(),
        source,
    })
}

#[cfg(not(unix))]
fn sync_folder(_target: &Path) -> Result<(), ReportError> {
    Ok(())
}
