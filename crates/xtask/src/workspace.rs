//! Where things lie, and how cargo is called there.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

/// The checkout this program belongs to.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    /// Folder of downloads and conversions that are done once.
    cache: PathBuf,
    /// Cargo's target folder.
    target: PathBuf,
}

/// The place beside `path` where it is made before it is moved there in one step.
pub(crate) fn scratch_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Removes a file, a link or a folder with all it holds; nothing there is fine.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))
}

/// Adds the source files of a folder and those below it.
pub(crate) fn collect_sources(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?
    {
        let path = entry?.path();
        if path.is_dir() {
            collect_sources(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    Ok(())
}

/// Held while this program writes into the cache or into `.libtorch`; released when dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Workspace {
    /// Finds the checkout, the cache (`TAMIS_CACHE`, else `.cache/tamis` in the checkout) and the
    /// target folder.
    pub(crate) fn find() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest
            .ancestors()
            .nth(2)
            .with_context(|| format!("{} is not in a crates folder", manifest.display()))?
            .to_path_buf();
        let cache = match env::var_os("TAMIS_CACHE").filter(|value| !value.is_empty()) {
            Some(folder) => std::path::absolute(&folder)
                .with_context(|| format!("TAMIS_CACHE={} is not a path", folder.display()))?,
            None => root.join(".cache/tamis"),
        };
        // Cargo puts this program at <target>/<profile>/xtask.
        let program = env::current_exe().context("cannot tell where this program lies")?;
        let target =
            program.ancestors().nth(2).map_or_else(|| root.join("target"), Path::to_path_buf);
        Ok(Self { root, cache, target })
    }

    /// A checkout at `root`, for tests.
    #[cfg(test)]
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.into(), cache: root.join(".cache/tamis"), target: root.join("target") }
    }

    /// Folder of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of downloads and conversions that are done once.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// Cargo's target folder.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The LibTorch that `.cargo/config.toml` names, to link and to load.
    pub(crate) fn libtorch(&self) -> PathBuf {
        self.root.join(".libtorch/torch")
    }

    /// `path` as seen from the checkout, for messages.
    pub(crate) fn shown<'a>(&self, path: &'a Path) -> std::path::Display<'a> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }

    /// Waits until no other `cargo xtask` writes into the cache or into `.libtorch`.
    pub(crate) fn lock(&self) -> Result<Lock> {
        make_folder(&self.cache)?;
        let path = self.cache.join("xtask.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                note!("waiting for another `cargo xtask` that holds {}", path.display());
                file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        Ok(Lock { _file: file })
    }

    /// Cargo, called in the checkout. Programs it runs find LibTorch.
    pub(crate) fn cargo(&self) -> Result<Command> {
        self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
    }

    /// A program, called in the checkout, that finds LibTorch.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Result<Command> {
        // The run paths of .cargo/config.toml count on the default target folder, and cargo takes
        // them from there only if no such variable is set.
        let replaced =
            ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTDOCFLAGS", "CARGO_ENCODED_RUSTDOCFLAGS"];
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        if self.target != self.root.join("target")
            || replaced.iter().any(|name| env::var_os(name).is_some())
        {
            command.env("LD_LIBRARY_PATH", self.loader_path()?);
        }
        Ok(command)
    }

    /// `LD_LIBRARY_PATH` with LibTorch in front.
    fn loader_path(&self) -> Result<OsString> {
        let before = env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
        let folders = std::iter::once(self.libtorch().join("lib"))
            .chain(env::split_paths(&before).filter(|folder| !folder.as_os_str().is_empty()));
        env::join_paths(folders)
            .context("the path of the checkout contains a colon, which LD_LIBRARY_PATH cannot hold")
    }
}
