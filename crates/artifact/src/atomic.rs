//! Files that are either the old ones or the new ones, never half of each.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::ArtifactError;

const TEMPORARY_SUFFIX: &str = ".tmp";

/// Replaces or creates `path` in one step.
///
/// The bytes go to `.<name>.tmp` beside it, which is flushed, renamed, and the folder flushed: after a
/// crash at any moment `path` holds all of the old bytes or all of the new. The parent folder must
/// exist. Of two processes that write the same path at once, one may fail.
///
/// # Errors
/// [`ArtifactError::Write`] with the file and the bytes wanted (a full disk, for one); the temporary
/// file is removed again.
pub fn write_atomic(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<(), ArtifactError> {
    let (path, bytes) = (path.as_ref(), bytes.as_ref());
    let temporary = temporary_of(path)?;
    let result = write_and_rename(&temporary, path, bytes);
    if result.is_err() {
        // Gives the space back. The first failure is the one to report, so this one's is dropped.
        let _ = fs::remove_file(&temporary);
    }
    result.map_err(|source| ArtifactError::Write {
        path: path.to_owned(),
        bytes: bytes.len() as u64,
        source,
    })
}

fn write_and_rename(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, path)?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
        _ => sync_folder(Path::new(".")),
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

/// Whether a file of this name is what an interrupted [`write_atomic`] leaves behind.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX)
}
