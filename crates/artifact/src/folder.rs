//! The store's folder: the names in it, its lock, its birth.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use crate::ArtifactError;
use crate::atomic::{is_temporary, sync_folder, write_atomic};
use crate::manifest::Manifest;

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const JOURNAL: &str = "journal.jsonl";
const LOCK: &str = ".lock";
/// Longest name of a shard: a file name of 255 bytes less what a temporary file adds.
const LONGEST_NAME: usize = 250;

/// Says what keeps a name from being a shard's.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > LONGEST_NAME {
        Err("must have 1 to 250 characters")
    } else if !name.chars().all(plain) {
        Err("may hold only ASCII letters, digits, `-`, `_` and `.`")
    } else if name.starts_with('.') {
        Err("must not begin with a dot")
    } else if [MANIFEST, JOURNAL].iter().any(|own| own.eq_ignore_ascii_case(name)) {
        Err("must not be a file of the store's own")
    } else {
        Ok(())
    }
}

/// Writes the journal, then the manifest: a folder with a manifest always has a journal.
pub(crate) fn begin(dir: &Path, manifest: &Manifest) -> Result<(), ArtifactError> {
    let path = dir.join(MANIFEST);
    let text = manifest
        .to_text()
        .map_err(|source| ArtifactError::BadManifest { path: path.clone(), source })?;
    write_atomic(dir.join(JOURNAL), "")?;
    write_atomic(&path, text)?;
    // The folder itself may be new as well.
    if let Some(parent) = dir.canonicalize().ok().as_deref().and_then(Path::parent) {
        sync_folder(parent).map_err(ArtifactError::io("flush", parent))?;
    }
    Ok(())
}

/// Both files as they are; readers need no lock because neither is ever rewritten.
pub(crate) fn read_manifest_and_journal(dir: &Path) -> Result<(Vec<u8>, Vec<u8>), ArtifactError> {
    let read = |name: &str, missing: ArtifactError| match fs::read(dir.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing),
        result => result.map_err(ArtifactError::io("read", dir.join(name))),
    };
    let manifest = read(MANIFEST, ArtifactError::NotAStore { dir: dir.to_owned() })?;
    let journal = read(JOURNAL, ArtifactError::MissingJournal { path: dir.join(JOURNAL) })?;
    Ok((manifest, journal))
}

/// The right to write a store, held until this is dropped or its process ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would do, were it not for processes being started by other threads at this
        // moment, which share its handle until they run. What cannot be unlocked ends with them.
        let _ = self.0.unlock();
    }
}

/// Takes the lock of a store's folder.
pub(crate) fn lock(dir: &Path) -> Result<Lock, ArtifactError> {
    let path = dir.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(ArtifactError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(ArtifactError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(ArtifactError::io("lock", path)(error)),
    }
}

/// A folder without a manifest may hold only what a store that was killed at birth leaves behind.
pub(crate) fn refuse_other_files(dir: &Path) -> Result<(), ArtifactError> {
    for name in names(dir)? {
        let empty_journal = || fs::metadata(dir.join(JOURNAL)).map_or(true, |file| file.len() == 0);
        let own = name == LOCK || is_temporary(&name) || (name == JOURNAL && empty_journal());
        // Another process may have begun this very store since the manifest was looked for.
        if !own && !dir.join(MANIFEST).exists() {
            return Err(ArtifactError::NotEmpty { dir: dir.to_owned(), found: name });
        }
    }
    Ok(())
}

/// Removes what interrupted writes left behind. Call it with the lock held.
pub(crate) fn remove_temporaries(dir: &Path) -> Result<(), ArtifactError> {
    for name in names(dir)?.into_iter().filter(|name| is_temporary(name)) {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(ArtifactError::io("remove", &path))?;
    }
    Ok(())
}

fn names(dir: &Path) -> Result<Vec<String>, ArtifactError> {
    let mut names = Vec::new();
    for file in fs::read_dir(dir).map_err(ArtifactError::io("list", dir))? {
        let file = file.map_err(ArtifactError::io("list", dir))?;
        names.push(file.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
