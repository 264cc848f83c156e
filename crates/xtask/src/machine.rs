//! What the machine must have before long work starts, with a message that says what to install.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::{make_folder, remove};

/// The oldest Python that the wheels taken here run with.
const OLDEST_PYTHON: (u32, u32) = (3, 10);

/// Checks that there is a C++17 compiler that can link OpenMP's libgomp, as the LibTorch bindings
/// ask for.
///
/// `scratch` is an existing folder for a tiny program.
pub(crate) fn check_compiler(scratch: &Path) -> Result<()> {
    let folder = scratch.join("compiler-check");
    make_folder(&folder)?;
    let checked = compile(&folder);
    // If the compiler fails, that is what to report.
    let removed = remove(&folder);
    checked.and(removed)
}

/// Compiles and links a tiny program in `folder`, without and with libgomp.
fn compile(folder: &Path) -> Result<()> {
    const INSTALL: &str = "Install one:\n  \
                           Debian, Ubuntu:  sudo apt-get install g++\n  \
                           Fedora:          sudo dnf install gcc-c++\n\
                           or name another in the environment variable CXX";
    // The compiler that the bindings' build script takes. CXX may hold arguments, such as in
    // "ccache g++".
    let compiler = env::var("CXX").unwrap_or_default();
    let compiler = if compiler.trim().is_empty() { "c++" } else { compiler.trim() };
    let mut words = compiler.split_whitespace();
    let name = words.next().unwrap_or(compiler);

    let source = folder.join("main.cpp");
    let text = "#include <string_view>\nint main() { return std::string_view(\"\").size(); }\n";
    fs::write(&source, text).with_context(|| format!("cannot write {}", source.display()))?;
    let mut command = Command::new(name);
    command.args(words).arg("-std=c++17").arg(&source).arg("-o").arg(folder.join("main"));
    let plain = match command.output() {
        Ok(output) => output,
        Err(error) => {
            bail!("there is no C++ compiler: `{compiler}` cannot be run ({error}). {INSTALL}")
        }
    };
    if !plain.status.success() {
        bail!(
            "the C++ compiler `{compiler}` cannot build a C++17 program. {INSTALL}\nIt says: {}",
            String::from_utf8_lossy(&plain.stderr).trim()
        );
    }
    // Without this flag a library that nothing in the program calls may be passed over.
    let openmp = command.args(["-Wl,--no-as-needed", "-lgomp"]).output();
    let openmp = openmp.with_context(|| format!("cannot run `{compiler}`"))?;
    if !openmp.status.success() {
        bail!(
            "`{compiler}` cannot link libgomp (OpenMP), which LibTorch needs. It comes with GCC:\n  \
             Debian, Ubuntu:  sudo apt-get install g++\n  \
             Fedora:          sudo dnf install gcc-c++ libgomp\n\
             It says: {}",
            String::from_utf8_lossy(&openmp.stderr).trim()
        );
    }
    Ok(())
}

/// The Python to call: `PYTHON`, else `python3`.
pub(crate) fn python() -> OsString {
    env::var_os("PYTHON").filter(|name| !name.is_empty()).unwrap_or_else(|| "python3".into())
}

/// Checks that there is a Python with pip.
pub(crate) fn check_pip() -> Result<()> {
    let python = python();
    let install = "Install both:\n  \
                   Debian, Ubuntu:  sudo apt-get install python3 python3-pip\n  \
                   Fedora:          sudo dnf install python3 python3-pip\n\
                   or name another Python in the environment variable PYTHON";
    let asked = Command::new(&python)
        .args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        .output()
        .map_err(|error| {
            anyhow::anyhow!(
                "Python 3 with pip is needed, and `{}` cannot be run ({error}). {install}",
                python.display()
            )
        })?;
    let version = String::from_utf8_lossy(&asked.stdout);
    match minor_version(&version) {
        Some(found) if asked.status.success() && found >= OLDEST_PYTHON => {}
        Some(_) if asked.status.success() => bail!(
            "`{}` is Python {}; {}.{} or newer is needed. {install}",
            python.display(),
            version.trim(),
            OLDEST_PYTHON.0,
            OLDEST_PYTHON.1
        ),
        _ => bail!(
            "`{}` does not run as Python 3. {install}\nIt says: {}",
            python.display(),
            String::from_utf8_lossy(&asked.stderr).trim()
        ),
    }
    let pip = Command::new(&python)
        .args(["-m", "pip", "--version"])
        .output()
        .with_context(|| format!("cannot run `{}`", python.display()))?;
    if !pip.status.success() {
        bail!(
            "`{}` has no pip. {install}\nIt says: {}",
            python.display(),
            String::from_utf8_lossy(&pip.stderr).trim()
        );
    }
    Ok(())
}

/// `3.11` as numbers.
fn minor_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_versions_compare_as_numbers() {
        assert_eq!(minor_version("3.11\n"), Some((3, 11)));
        assert!(minor_version("3.9") < Some(OLDEST_PYTHON));
        assert_eq!(minor_version("Python"), None);
    }
}
