//! `finetune` from outside.

mod adapt;
mod bad;
mod kill;
mod outputs;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{pools, program};

/// A command line of `finetune`, with the settings that make it quick unless a test gives others.
#[derive(Clone)]
struct Finetune {
    flags: BTreeMap<String, Option<String>>,
    out: PathBuf,
}

/// Training and held-out rows in a folder.
fn write_rows(folder: &Path) -> (PathBuf, PathBuf) {
    let rows = pools::pairs();
    (
        pools::write(folder, "train.jsonl", &rows[..40]),
        pools::write(folder, "valid.jsonl", &rows[40..]),
    )
}

impl Finetune {
    fn new(folder: &Path, out: &str) -> Self {
        let (train, valid) = write_rows(folder);
        let out = folder.join(out);
        let new = Self { flags: BTreeMap::new(), out: out.clone() };
        new.with("model", program::model().display())
            .with("train", train.display())
            .with("valid", valid.display())
            .with("out", out.display())
            .with("epochs", 2)
            .with("learning-rate", "3e-3")
            .with("batch-size", 4)
            .with("token-budget", 512)
            .with("threads", 1)
    }

    fn with(mut self, flag: &str, value: impl std::fmt::Display) -> Self {
        self.flags.insert(flag.to_owned(), Some(value.to_string()));
        self
    }

    fn switch(mut self, flag: &str) -> Self {
        self.flags.insert(flag.to_owned(), None);
        self
    }

    fn without(mut self, flag: &str) -> Self {
        self.flags.remove(flag);
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program::binary("finetune"));
        for (flag, value) in &self.flags {
            command.arg(match value {
                Some(value) => format!("--{flag}={value}"),
                None => format!("--{flag}"),
            });
        }
        command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE").stdin(Stdio::null());
        command
    }

    /// Runs it; it must end well. Returns what it said.
    fn succeed(&self) -> String {
        let output = self.command().output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{:?} failed:\n{errors}", self.flags);
        errors + &String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it; it must end with an error whose text has all `parts`, and without a panic.
    fn refuse(&self, parts: &[&str]) -> String {
        let output = self.command().output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        let ended = !output.status.success() && output.status.code().is_some();
        assert!(ended && !errors.contains("panicked"), "{:?}:\n{errors}", self.flags);
        for part in parts {
            assert!(errors.contains(part), "does not say `{part}`:\n{errors}");
        }
        errors
    }

    fn file(&self, name: &str) -> Vec<u8> {
        let path = self.out.join(name);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.file(name)).unwrap()
    }

    /// The lines of `metrics.jsonl`.
    fn metrics(&self) -> Vec<Value> {
        let text = String::from_utf8(self.file("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The same without times.
    fn timeless(&self) -> Vec<Value> {
        let mut lines = self.metrics();
        for line in &mut lines {
            let line = line.as_object_mut().unwrap();
            line.remove("seconds");
            line.remove("tokens_per_second");
        }
        lines
    }

    /// The files of the trained model.
    fn model(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        program::contents(&self.out.join("model"))
    }

    /// Steps of the checkpoints that are there.
    fn checkpoints(&self) -> Vec<usize> {
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let names = fs::read_dir(&self.out).unwrap().map(|entry| name(entry.unwrap()));
        let mut steps: Vec<usize> =
            names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok()).collect();
        steps.sort_unstable();
        steps
    }
}
