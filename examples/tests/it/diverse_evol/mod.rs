//! `diverse_evol` from outside.

mod command;
mod kill;
mod outputs;
mod refusals;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::pools;
use crate::program::{self, Finished, contents};

/// Rows of the pool; the rest of the shared ones are held out.
const POOL: usize = 40;
/// Files that depend on the clock.
const CLOCK: [&str; 4] = ["times.jsonl", "run.json", "report.html", "rounds.jsonl"];

/// A command line of `diverse_evol`, with the settings that make it quick unless a test gives others:
/// 4 rows, and 3 rounds of 3.
#[derive(Clone)]
struct Evol {
    flags: BTreeMap<String, Option<String>>,
    out: PathBuf,
}

impl Evol {
    fn new(folder: &Path, out: &str) -> Self {
        let rows = pools::pairs();
        let pool = pools::write(folder, "pool.jsonl", &rows[..POOL]);
        let held_out = pools::write(folder, "held-out.jsonl", &rows[POOL..]);
        let out = folder.join(out);
        let new = Self { flags: BTreeMap::new(), out: out.clone() };
        new.with("model", program::model().display())
            .with("pool", pool.display())
            .with("eval-data", held_out.display())
            .with("out", out.display())
            .with("initial", 4)
            .with("per-round", 3)
            .with("rounds", 3)
            .with("epochs", 2)
            .with("lr", "3e-3")
            .with("batch", 2)
            .with("token-budget", 512)
            .with("shard-rows", 8)
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

    /// Without what only the built-in training listens to.
    fn commanded(self) -> Self {
        self.without("epochs").without("lr").without("batch")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(program::binary("diverse_evol"));
        for (flag, value) in &self.flags {
            command.arg(match value {
                Some(value) => format!("--{flag}={value}"),
                None => format!("--{flag}"),
            });
        }
        command.env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE").stdin(Stdio::null());
        command
    }

    /// Runs it; it must end well.
    fn succeed(&self) -> Finished {
        let output = self.command().output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{:?} failed:\n{errors}", self.flags);
        Finished { out: self.out.clone(), printed: String::from_utf8(output.stdout).unwrap() }
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
}

/// The lines of a JSONL file.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every file of a run but those that depend on the clock, and the rounds without their times.
fn timeless(run: &Finished) -> (BTreeMap<PathBuf, Vec<u8>>, Vec<Value>) {
    let mut files = contents(&run.out);
    for file in CLOCK {
        files.remove(Path::new(file)).unwrap();
    }
    let mut rounds = lines(&run.out.join("rounds.jsonl"));
    for round in &mut rounds {
        assert!(round.as_object_mut().unwrap().remove("seconds").unwrap().is_f64());
    }
    (files, rounds)
}
