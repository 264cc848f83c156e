//! Files and folders that are either the old ones or the new ones, never half of each.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::ArtifactError;

const TEMPORARY_SUFFIX: &str = ".tmp";

/// A file under way: what is written goes to `.<name>.tmp` beside it until [`commit`](Self::commit) puts it in place.
///
/// Until then the file under that name, if there is one, is as it was; dropped without a commit, the temporary one is
/// removed. Its name is fixed, so what a killed process left behind is written over by the next one. Of two processes
/// that write the same path at once, one may fail.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("rows.tsv");
/// use std::io::Write;
///
/// let mut file = tamis_artifact::AtomicFile::create(&path)?;
/// for row in 0..3 {
///     writeln!(file, "{row}\t{}", row * row)?;
/// }
/// assert!(!path.exists());
/// file.commit()?;
/// assert!(path.exists());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    path: PathBuf,
    temporary: PathBuf,
    /// `None` once committed.
    file: Option<BufWriter<File>>,
    /// Bytes that were to be written so far.
    bytes: u64,
}

impl AtomicFile {
    /// Begins a file; its folder must exist.
    ///
    /// # Errors
    /// A path without a file name, or beside which no file can be made.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, ArtifactError> {
        let path = path.into();
        let temporary = temporary_of(&path)?;
        let file = File::create(&temporary).map_err(ArtifactError::io("write", &path))?;
        Ok(Self { path, temporary, file: Some(BufWriter::new(file)), bytes: 0 })
    }

    /// Where the file will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes bytes like [`Write::write_all`], with an error that names the file.
    ///
    /// # Errors
    /// [`ArtifactError::Write`] with the file and the bytes wanted so far (a full disk, for one).
    pub fn put(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), ArtifactError> {
        self.write_all(bytes.as_ref()).map_err(|source| self.failed(source))
    }

    /// Flushes the bytes to the disk, renames the file into place and flushes its folder: after a crash at any moment
    /// the path, which is returned, holds all of the old bytes or all of the new.
    ///
    /// # Errors
    /// [`ArtifactError::Write`] as for [`put`](Self::put); the temporary file is removed.
    pub fn commit(mut self) -> Result<PathBuf, ArtifactError> {
        self.place().map_err(|source| self.failed(source))?;
        self.file = None;
        sync_folder(parent_of(&self.path)).map_err(|source| self.failed(source))?;
        Ok(std::mem::take(&mut self.path))
    }

    fn place(&mut self) -> io::Result<()> {
        let file = self.open()?;
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.path)
    }

    fn open(&mut self) -> io::Result<&mut BufWriter<File>> {
        self.file.as_mut().ok_or_else(|| io::Error::other("the file is committed already"))
    }

    fn failed(&self, source: io::Error) -> ArtifactError {
        ArtifactError::Write { path: self.path.clone(), bytes: self.bytes, source }
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        self.open()?.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.open()?.flush()
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // What is buffered is of no use any more.
            drop(file.into_parts());
            // Gives the space back. The failure that led here is the one to report, so this one's is dropped.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Replaces or creates `path` in one step: an [`AtomicFile`] of these bytes.
///
/// # Errors
/// [`ArtifactError::Write`] with the file and the bytes wanted (a full disk, for one); the temporary file is removed
/// again.
pub fn write_atomic(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<(), ArtifactError> {
    let (path, bytes) = (path.as_ref(), bytes.as_ref());
    let file = AtomicFile::create(path).map_err(|error| match error {
        ArtifactError::Io { source, .. } => {
            ArtifactError::Write { path: path.to_owned(), bytes: bytes.len() as u64, source }
        }
        other => other,
    });
    let mut file = file?;
    file.put(bytes)?;
    file.commit().map(drop)
}

/// Renames a folder of flushed files so that it lasts through a power cut: `from` is flushed, renamed, and the folder
/// that `to` is in flushed. There must be no folder `to` that holds anything.
///
/// # Errors
/// [`ArtifactError::Io`] naming `to`.
pub fn rename_folder(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<(), ArtifactError> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let renamed = sync_folder(from).and_then(|()| fs::rename(from, to));
    let durable = renamed.and_then(|()| sync_folder(parent_of(to)));
    durable.map_err(ArtifactError::io("rename a folder to", to))
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes renames and new files in a folder last through a power cut.
#[cfg(unix)]
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Other systems do not open folders as files, and commit renames themselves.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

fn temporary_of(path: &Path) -> Result<PathBuf, ArtifactError> {
    let Some(name) = path.file_name() else {
        return Err(ArtifactError::NoFileName { path: path.to_owned() });
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(TEMPORARY_SUFFIX);
    Ok(path.with_file_name(temporary))
}

/// Whether a file of this name is what an interrupted [`AtomicFile`] leaves behind.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX)
}
