//! LibTorch: found where the user says, or brought once.
//!
//! Whatever its origin, `.libtorch/torch` leads to it, because `.cargo/config.toml` tells the
//! linker and the built programs to look there. It is a symbolic link into the cache or to the
//! user's own LibTorch.

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, make_folder, remove, scratch_of};
use crate::{machine, pip, process};

/// The one LibTorch that tch 0.24 is made for.
const VERSION: &str = "2.11.0";

/// The wheel with LibTorch, and the two libraries that its CPU part loads. More of NVIDIA's are
/// needed to use a GPU.
const PACKAGES: [&str; 3] =
    ["torch==2.11.0", "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cupti==13.0.85"];

/// One file for every machine, whatever its own Python: only the libraries in it are used, never
/// the Python part.
const WHEEL_TAGS: [&str; 4] =
    ["--only-binary=:all:", "--python-version=3.12", "--implementation=cp", "--abi=cp312"];

/// A LibTorch that the user named.
#[derive(Debug, PartialEq)]
struct Named {
    folder: PathBuf,
    /// How it was named, for messages.
    by: String,
}

/// Makes sure that this machine can build with LibTorch, bringing it if need be.
pub(crate) fn set_up(workspace: &Workspace) -> Result<()> {
    if !cfg!(target_os = "linux") {
        bail!(
            "this command brings LibTorch for Linux only; elsewhere set LIBTORCH to a LibTorch \
            {VERSION}"
        );
    }
    let _lock = workspace.lock()?;
    machine::check_compiler(workspace.cache())?;
    match named(workspace)? {
        Some(named) => use_named(workspace, &named),
        None => use_own(workspace),
    }
}

/// The LibTorch that the environment asks for, in the order in which the bindings' build script
/// asks.
fn named(workspace: &Workspace) -> Result<Option<Named>> {
    if env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        // The same interpreter as the build script's.
        let python = if env::var_os("VIRTUAL_ENV").is_some() { "python" } else { "python3" };
        let program =
            "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])";
        let folder =
            process::output(Command::new(python).args(["-c", program])).with_context(|| {
                format!(
                    "LIBTORCH_USE_PYTORCH is set, but `{python}` has no torch: `{python} -m pip \
                 install torch=={VERSION}`, or unset it to let this command bring LibTorch"
                )
            })?;
        return Ok(Some(Named {
            folder: PathBuf::from(folder.trim()),
            by: format!("LIBTORCH_USE_PYTORCH (the torch of `{python}`)"),
        }));
    }
    let Some(folder) = env::var_os("LIBTORCH").map(PathBuf::from) else {
        return Ok(None);
    };
    // Cargo itself sets LIBTORCH, from .cargo/config.toml, where the user does not.
    if is_own(&folder, workspace) {
        return Ok(None);
    }
    Ok(Some(Named { by: format!("LIBTORCH={}", folder.display()), folder }))
}

/// Whether `folder` is `.libtorch/torch` of this checkout, however it is spelt.
fn is_own(folder: &Path, workspace: &Workspace) -> bool {
    let own = workspace.libtorch();
    if folder == own {
        return true;
    }
    // The last part may be a link to elsewhere, which must not be followed.
    let resolved = |path: &Path| Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    resolved(folder).is_some_and(|folder| Some(folder) == resolved(&own))
}

fn use_named(workspace: &Workspace, named: &Named) -> Result<()> {
    if !named.folder.is_absolute() {
        bail!(
            "{} is a relative path; builds run in many folders, so name it from the root",
            named.by
        );
    }
    match version_of(&named.folder)? {
        Some(version) if release(&version) == VERSION => {}
        _ if env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some() => {
            note!(
                "warning: the version of {} is not checked (LIBTORCH_BYPASS_VERSION_CHECK)",
                named.by
            );
        }
        Some(version) => bail!(
            "{} leads to LibTorch {version}; {VERSION} is needed. Unset it to let this command \
            bring LibTorch {VERSION}",
            named.by
        ),
        None => bail!(
            "{} leads to {}, which is not LibTorch {VERSION}: it needs lib/libtorch_cpu.so and \
             version.py or build-version. Unset it to let this command bring LibTorch",
            named.by,
            named.folder.display()
        ),
    }
    link(&workspace.libtorch(), &named.folder)?;
    say!("LibTorch: {}", named.by);
    Ok(())
}

fn use_own(workspace: &Workspace) -> Result<()> {
    let own = workspace.libtorch();
    if is_right(&own)? {
        let place = own.canonicalize().unwrap_or_else(|_| own.clone());
        say!("LibTorch {VERSION}: {}", workspace.shown(&place));
        return Ok(());
    }
    let store = workspace.cache().join(format!("libtorch-{VERSION}"));
    if !is_right(&store.join("torch"))? {
        bring(workspace, &store)?;
    }
    let target = store.join("torch");
    // Relative where it can be, so that the checkout can be moved.
    let target = target
        .strip_prefix(workspace.root())
        .map_or(target.clone(), |inside| Path::new("..").join(inside));
    link(&own, &target)?;
    say!("LibTorch {VERSION}: {}", workspace.shown(&store));
    Ok(())
}

/// Installs LibTorch as the folder `store`, wholly or not at all.
fn bring(workspace: &Workspace, store: &Path) -> Result<()> {
    machine::check_pip()?;
    say!("bringing LibTorch {VERSION}: about 0.6 GB to download, 1.2 GB on disk");
    let scratch = scratch_of(store);
    remove(&scratch)?;
    make_folder(&scratch)?;
    let install = || -> Result<()> {
        let unpacked = scratch.join("unpacked");
        pip::install(&PACKAGES, &WHEEL_TAGS, &unpacked, &scratch)?;
        if !is_right(&unpacked.join("torch"))? {
            bail!("pip succeeded, but {} holds no LibTorch {VERSION}", workspace.shown(&unpacked));
        }
        remove(store)?;
        fs::rename(&unpacked, store)
            .with_context(|| format!("cannot make the folder {}", store.display()))
    };
    let installed = install();
    // After a failure, the failure is what to report.
    let removed = remove(&scratch);
    installed.and(removed)
}

/// Whether `folder` holds LibTorch of the right version.
fn is_right(folder: &Path) -> Result<bool> {
    Ok(version_of(folder)?.is_some_and(|version| release(&version) == VERSION))
}

/// The version of the LibTorch in `folder`, if there is one: a torch package of Python or an
/// unpacked LibTorch archive.
fn version_of(folder: &Path) -> Result<Option<String>> {
    if !folder.join("lib/libtorch_cpu.so").is_file() {
        return Ok(None);
    }
    for (file, parse) in [
        ("version.py", from_version_py as fn(&str) -> Option<&str>),
        ("build-version", from_build_version),
    ] {
        let path = folder.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let version =
                    parse(&text).with_context(|| format!("{} names no version", path.display()))?;
                return Ok(Some(version.to_owned()));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
    }
    Ok(None)
}

/// `__version__ = '2.11.0+cu130'`, with or without a type.
fn from_version_py(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("__version__"))?;
    let (_, value) = line.split_once('=')?;
    let version = value.trim().trim_matches(['\'', '"']);
    (!version.is_empty()).then_some(version)
}

fn from_build_version(text: &str) -> Option<&str> {
    let version = text.trim();
    (!version.is_empty()).then_some(version)
}

/// `2.11.0+cu130` without the build.
fn release(version: &str) -> &str {
    version.split_once('+').map_or(version, |(release, _)| release)
}

/// Makes `link` a symbolic link to `target`, replacing another link but nothing else.
fn link(link: &Path, target: &Path) -> Result<()> {
    match fs::symlink_metadata(link) {
        Ok(found) if found.is_symlink() => {
            if fs::read_link(link).is_ok_and(|now| now == target) {
                return Ok(());
            }
        }
        Ok(_) => bail!(
            "{} is not a link made by this command, so it is left alone: remove it if {} is to \
            be used",
            link.display(),
            target.display()
        ),
        Err(_) => {
            let folder = link.parent().unwrap_or(Path::new("."));
            make_folder(folder)?;
        }
    }
    // A rename replaces the old link in one step.
    let new = scratch_of(link);
    remove(&new)?;
    symlink(target, &new).with_context(|| format!("cannot make the link {}", new.display()))?;
    fs::rename(&new, link).with_context(|| format!("cannot make the link {}", link.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn fake(folder: &Path, file: &str, text: &str) {
        fs::create_dir_all(folder.join("lib")).unwrap();
        fs::write(folder.join("lib/libtorch_cpu.so"), "").unwrap();
        fs::write(folder.join(file), text).unwrap();
    }

    #[test]
    fn the_version_is_read_from_either_kind_of_folder() {
        let dir = tempfile::tempdir().unwrap();
        fake(
            &dir.path().join("wheel"),
            "version.py",
            "from typing import Optional\n\n__version__ = '2.11.0+cu130'\n",
        );
        fake(&dir.path().join("archive"), "build-version", "2.10.0+cpu\n");
        fs::create_dir_all(dir.path().join("empty")).unwrap();
        assert_eq!(version_of(&dir.path().join("wheel")).unwrap().as_deref(), Some("2.11.0+cu130"));
        assert!(is_right(&dir.path().join("wheel")).unwrap());
        assert_eq!(version_of(&dir.path().join("archive")).unwrap().as_deref(), Some("2.10.0+cpu"));
        assert!(!is_right(&dir.path().join("archive")).unwrap());
        assert_eq!(version_of(&dir.path().join("empty")).unwrap(), None);
    }

    #[test]
    fn versions_are_told_from_their_builds() {
        assert_eq!(
            from_version_py("__all__ = ['__version__']\n__version__: str = \"2.11.0\"\n"),
            Some("2.11.0")
        );
        assert_eq!(from_version_py("cuda = '13.0'\n"), None);
        assert_eq!(release("2.11.0+cpu"), "2.11.0");
        assert_eq!(release("2.11.0"), "2.11.0");
    }

    #[test]
    fn a_folder_without_libraries_is_no_libtorch() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("version.py"), "__version__ = '2.11.0'\n").unwrap();
        assert_eq!(version_of(dir.path()).unwrap(), None);
    }

    #[test]
    fn the_default_of_the_checkout_is_recognised_even_when_it_is_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Workspace::at(dir.path());
        let elsewhere = dir.path().join("elsewhere");
        fake(&elsewhere, "build-version", "2.11.0");
        assert!(is_own(&workspace.libtorch(), &workspace), "before anything is there");
        link(&workspace.libtorch(), &elsewhere).unwrap();
        fs::create_dir(dir.path().join("crates")).unwrap();
        assert!(
            is_own(&dir.path().join("crates/../.libtorch/torch"), &workspace),
            "spelt otherwise"
        );
        assert!(!is_own(&elsewhere, &workspace), "what it leads to is the user's");
    }

    #[test]
    fn links_are_replaced_and_folders_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join(".libtorch/torch");
        link(&place, Path::new("/one")).unwrap();
        link(&place, Path::new("/two")).unwrap();
        assert_eq!(fs::read_link(&place).unwrap(), Path::new("/two"));
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        assert!(link(&folder, Path::new("/two")).unwrap_err().to_string().contains("left alone"));
    }
}
