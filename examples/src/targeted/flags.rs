//! Targets, rule and budget on the command line.

use std::collections::HashSet;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};
use clap::Args;
use serde::Serialize;
use tamis::dataset::{Dataset, Format, Sample};
use tamis::selection::targets::{Target, TaskRule};

use crate::open_rows;

/// Which tasks data is chosen for, and how much.
#[derive(Args, Clone, Debug, Serialize)]
pub struct TargetFlags {
    /// Examples of a task that data is chosen for: any data file. Give it several times for several
    /// tasks; without a NAME a task is called as its file [default name: the file's stem]
    #[arg(long = "target", value_name = "[NAME=]FILE")]
    pub targets: Vec<TargetSet>,
    /// How scores against tasks become one choice: max (the best task decides), mean (over tasks), or
    /// round-robin (tasks in turn, and within a task its examples in turn, take the best row left)
    /// [default: the method's]
    #[arg(long)]
    pub rule: Option<TaskRule>,
    /// Rows to choose
    #[arg(long)]
    pub budget: usize,
    /// Format of the target files; told from extension and first row if not given
    #[arg(long, value_name = "FORMAT")]
    pub target_format: Option<Format>,
}

/// A file of examples of one task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetSet {
    /// The task.
    pub name: String,
    /// Its examples.
    pub path: PathBuf,
}

impl FromStr for TargetSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = text.split_once('=').map(|(name, path)| (name.to_owned(), PathBuf::from(path)));
        let (name, path) = named.unwrap_or_else(|| {
            let path = PathBuf::from(text);
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            (stem.unwrap_or_default(), path)
        });
        if name.trim().is_empty() || path.as_os_str().is_empty() {
            return Err("expected FILE or NAME=FILE".to_owned());
        }
        Ok(Self { name, path })
    }
}

impl TargetFlags {
    /// Opens and checks the target files: one data set a task.
    ///
    /// # Errors
    /// No targets, two tasks of one name, a file without examples, or the file and line of the first
    /// example that cannot be read.
    pub fn open(&self) -> Result<Vec<(String, Dataset)>> {
        ensure!(
            !self.targets.is_empty(),
            "there is nothing to choose for: name a file of examples with --target"
        );
        let mut names = HashSet::new();
        let mut opened = Vec::new();
        for TargetSet { name, path } in &self.targets {
            ensure!(
                names.insert(name),
                "two targets are called `{name}`: give them names with --target NAME=FILE"
            );
            let data = open_rows(path, self.target_format, false, false)?;
            if data.is_empty() {
                bail!("{} has no examples of `{name}`", path.display());
            }
            opened.push((name.clone(), data));
        }
        Ok(opened)
    }

    /// Every example of every task as a target of its own, named by its id.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn read(&self) -> Result<Vec<(Target, Sample)>> {
        let mut all = Vec::new();
        for (task, data) in self.open()? {
            for sample in data.read_range(0..data.len())? {
                all.push((Target::new(task.clone(), sample.id.as_str()), sample));
            }
        }
        Ok(all)
    }
}
