//! Where things lie in the folder of a run, and what the folder of a model hashes to.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tamis_artifact::{hash_bytes, hash_file, write_atomic};

use crate::EvolError;

/// Paths in the folder of a run.
#[derive(Clone, Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn journal(&self) -> PathBuf {
        self.0.join("journal.jsonl")
    }

    pub(crate) fn times(&self) -> PathBuf {
        self.0.join("times.jsonl")
    }

    /// What is seen of the records with the base model.
    pub(crate) fn base_view(&self) -> PathBuf {
        self.0.join("base-view")
    }

    pub(crate) fn round(&self, round: usize) -> PathBuf {
        self.0.join(format!("round-{round:02}"))
    }

    pub(crate) fn model(&self, round: usize) -> PathBuf {
        self.round(round).join("model")
    }

    /// Where the model is until the journal knows it.
    pub(crate) fn unfinished(&self, round: usize) -> PathBuf {
        self.round(round).join("model.unfinished")
    }

    /// What the trainer needs to go on after an interruption.
    pub(crate) fn work(&self, round: usize) -> PathBuf {
        self.round(round).join("training")
    }

    /// What is seen of the records with the model of `round`.
    pub(crate) fn view(&self, round: usize) -> PathBuf {
        self.round(round).join("view")
    }
}

/// BLAKE3 over names and bytes of the files in a folder, 64 hexadecimal digits. Folders in it, such as
/// the checkpoints that some trainers leave there, do not count.
///
/// # Errors
/// A folder or file that cannot be read.
pub fn hash_folder(dir: impl AsRef<Path>) -> Result<String, EvolError> {
    let line = |path: PathBuf| -> Result<String, EvolError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(format!("{}  {name}\n", hash_file(&path)?))
    };
    let list: String = files(dir.as_ref())?.into_iter().map(line).collect::<Result<_, _>>()?;
    Ok(hash_bytes(list.as_bytes()))
}

/// Files directly in a folder, by name.
pub(crate) fn files(dir: &Path) -> Result<Vec<PathBuf>, EvolError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(EvolError::io("list", dir))? {
        let path = entry.map_err(EvolError::io("list", dir))?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Makes a folder with its files outlive a power cut: an external trainer may not have.
pub(crate) fn flush(dir: &Path) -> Result<(), EvolError> {
    let mut paths = files(dir)?;
    if cfg!(unix) {
        // Names are kept by the folder, and its own by the one above. Other systems do not open
        // folders as files.
        paths.push(dir.to_owned());
        paths.extend(dir.parent().map(Path::to_owned));
    }
    for path in paths {
        let flushed = File::open(&path).and_then(|file| file.sync_all());
        flushed.map_err(EvolError::io("flush", path))?;
    }
    Ok(())
}

/// Removes a file or a folder with everything in it, if it is there.
pub(crate) fn remove(path: &Path) -> Result<(), EvolError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(EvolError::io("remove", path)),
    }
}

/// Makes a folder and those above it.
pub(crate) fn make(dir: &Path) -> Result<(), EvolError> {
    fs::create_dir_all(dir).map_err(EvolError::io("create the folder", dir))
}

/// Writes lines of JSON, as [`write_file`].
pub(crate) fn write_lines(
    path: &Path,
    lines: impl Iterator<Item = serde_json::Value>,
) -> Result<(), EvolError> {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.to_string());
        text.push('\n');
    }
    write_file(path, text.as_bytes())
}

/// Writes a file unless it is there already: a long run that is resumed need not flush them all again.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), EvolError> {
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    Ok(write_atomic(path, bytes)?)
}
