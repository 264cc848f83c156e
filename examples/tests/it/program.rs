//! Running the program, and looking at what it leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::pools;

/// A command line of `gdig`, with the settings that make it quick unless a test gives others.
#[derive(Clone)]
pub(crate) struct Gdig {
    flags: BTreeMap<String, Option<String>>,
}

impl Gdig {
    pub(crate) fn new(pool: &Path, seeds: &Path, out: &Path) -> Self {
        let mut gdig = Self { flags: BTreeMap::new() };
        for (flag, value) in [
            ("budget", "10"),
            ("max-length", "512"),
            ("adapt-epochs", "1"),
            ("adapt-lr", "1e-3"),
            ("adapt-batch", "16"),
            ("projection", "4x4"),
            ("threads", "1"),
        ] {
            gdig = gdig.with(flag, value);
        }
        gdig.path("model", &model()).path("pool", pool).path("seeds", seeds).path("out", out)
    }

    /// Sets a flag, in place of the value it had.
    pub(crate) fn with(mut self, flag: &str, value: impl std::fmt::Display) -> Self {
        self.flags.insert(flag.to_owned(), Some(value.to_string()));
        self
    }

    /// Sets several.
    pub(crate) fn with_all(self, flags: &[(&str, &str)]) -> Self {
        flags.iter().fold(self, |gdig, (flag, value)| gdig.with(flag, value))
    }

    pub(crate) fn path(self, flag: &str, value: &Path) -> Self {
        self.with(flag, value.to_str().unwrap())
    }

    /// Sets a flag that takes no value.
    pub(crate) fn switch(mut self, flag: &str) -> Self {
        self.flags.insert(flag.to_owned(), None);
        self
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(binary("gdig"));
        for (flag, value) in &self.flags {
            // One word each, so that a value may begin with a minus sign.
            command.arg(match value {
                Some(value) => format!("--{flag}={value}"),
                None => format!("--{flag}"),
            });
        }
        command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE").stdin(Stdio::null());
        command
    }

    /// Runs it; it must end well.
    pub(crate) fn succeed(&self) -> Finished {
        let output = self.command().output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{:?} failed:\n{errors}", self.flags);
        let out = PathBuf::from(self.flags["out"].as_ref().unwrap());
        Finished { out, printed: String::from_utf8(output.stdout).unwrap() }
    }

    /// Runs it; it must end with an error whose text has all `parts`, and without a panic.
    pub(crate) fn refuse(&self, parts: &[&str]) {
        if let Some(fault) = self.fault(parts) {
            panic!("{fault}");
        }
    }

    /// What is wrong with the way in which it refuses its flags, if something is.
    pub(crate) fn fault(&self, parts: &[&str]) -> Option<String> {
        let output = self.command().output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        let fault = if output.status.success() {
            "was not refused".to_owned()
        } else if output.status.code().is_none() {
            format!("crashed, {}", output.status)
        } else if errors.contains("panicked") {
            "panicked".to_owned()
        } else {
            let missing = parts.iter().find(|part| !errors.contains(**part))?;
            format!("does not say `{missing}`")
        };
        Some(format!("{:?} {fault}:\n{errors}", self.flags))
    }
}

/// Runs any program; it must end well. Returns what it printed.
pub(crate) fn succeed(name: &str, arguments: &[&str]) -> String {
    let (ended_well, printed, errors) = run(name, arguments);
    assert!(ended_well, "{name} {arguments:?} failed:\n{errors}");
    printed
}

/// Runs any program; it must end with an error whose text has all `parts`, and without a panic.
pub(crate) fn refuse(name: &str, arguments: &[&str], parts: &[&str]) {
    let (ended_well, _, errors) = run(name, arguments);
    assert!(!ended_well, "{name} {arguments:?} was not refused");
    assert!(!errors.contains("panicked"), "{name} {arguments:?} panicked:\n{errors}");
    for part in parts {
        assert!(errors.contains(part), "{name} {arguments:?} does not say `{part}`:\n{errors}");
    }
}

/// Whether a program ended well, what it printed, and its errors.
fn run(name: &str, arguments: &[&str]) -> (bool, String, String) {
    let mut command = Command::new(binary(name));
    command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    assert!(output.status.code().is_some(), "{name} {arguments:?} crashed");
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// What a run that ended well left behind.
pub(crate) struct Finished {
    pub(crate) out: PathBuf,
    /// What it printed.
    pub(crate) printed: String,
}

impl Finished {
    pub(crate) fn file(&self, name: &str) -> Vec<u8> {
        let path = self.out.join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn text(&self, name: &str) -> String {
        String::from_utf8(self.file(name)).unwrap()
    }

    /// The lines of `selected.jsonl`.
    pub(crate) fn selected(&self) -> Vec<String> {
        self.text("selected.jsonl").lines().map(str::to_owned).collect()
    }

    /// The lines of `scores.jsonl`.
    pub(crate) fn scores(&self) -> Vec<Value> {
        let text = self.text("scores.jsonl");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn run(&self) -> Value {
        serde_json::from_slice(&self.file("run.json")).unwrap()
    }

    /// The two files that hold the result.
    pub(crate) fn result(&self) -> [String; 2] {
        [self.text("selected.jsonl"), self.text("scores.jsonl")]
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.run()["counts"][name].as_u64().unwrap()
    }

    /// Whether a stage found its work done by an earlier run.
    pub(crate) fn resumed(&self, stage: &str) -> bool {
        let run = self.run();
        let stages = run["stages"].as_array().unwrap();
        let found = stages.iter().find(|s| s["name"] == stage);
        found.unwrap_or_else(|| panic!("no stage {stage} in {stages:?}"))["resumed"] == true
    }
}

/// A complete model folder.
pub(crate) fn model() -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/model/tests/fixtures");
    fixtures.canonicalize().unwrap().join("llama")
}

/// `target/<profile>/examples/<name>`, which `cargo test` builds before it runs this.
pub(crate) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "{} is missing; `cargo test -p tamis-examples` builds it, `--test it` alone does not",
        path.display()
    );
    path
}

/// One finished run of [`pools::pairs`] with the defaults above, shared by tests that only look.
/// Tests that go on with it take a [`copy`].
pub(crate) fn finished() -> &'static Finished {
    static RUN: OnceLock<Finished> = OnceLock::new();
    RUN.get_or_init(|| {
        // Not a temporary folder: nobody would remove one that a static holds.
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gdig-finished");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let (pool, seeds) = pools::write_pairs(&folder);
        Gdig::new(&pool, &seeds, &folder.join("out")).succeed()
    })
}

/// A copy of the finished run to go on with, and the command that made it.
pub(crate) fn copy() -> (TempDir, Gdig) {
    let folder = tempfile::tempdir().unwrap();
    let from = finished().out.parent().unwrap();
    copy_folder(from, folder.path());
    let at = |name: &str| folder.path().join(name);
    let gdig = Gdig::new(&at("pool.jsonl"), &at("seeds.jsonl"), &at("out"));
    (folder, gdig)
}

/// Runs that must be refused, and what each must say; all that go wrong are told together.
pub(crate) fn refuse_all<'a>(runs: impl IntoIterator<Item = (Gdig, &'a [&'a str])>) {
    let faults: Vec<String> =
        runs.into_iter().filter_map(|(gdig, parts)| gdig.fault(parts)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Every file below a folder, by its path in there.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(dir).unwrap().to_owned();
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}
