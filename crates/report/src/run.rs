//! `run.json`: everything needed to say what a run did, and to do it again.

use std::path::Path;
use std::time::{Instant, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::stage::to_milliseconds;
use crate::{
    Environment, FileRecord, Ordered, ReportError, StageRecord, find_non_finite, jsonl,
    peak_memory_bytes, rfc3339,
};

/// The record of one run of a program.
///
/// Start it first, fill it as the run goes on, [`finish`](Self::finish) and
/// [`write`](Self::write) it last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunRecord {
    /// Name of the program.
    pub program: String,
    /// Its version.
    pub version: String,
    /// When it ended, RFC 3339 in UTC; empty until then.
    pub finished: String,
    /// Wall-clock seconds from start to end.
    pub seconds: f64,
    /// Every parameter, defaults included, as the program's own struct serializes.
    pub parameters: Value,
    /// Files and folders read.
    pub inputs: Vec<FileRecord>,
    /// Seeds of everything random, by what they seed.
    pub seeds: Ordered<u64>,
    /// The steps, in the order in which they ended.
    pub stages: Vec<StageRecord>,
    /// How many rows were read, rejected, scored, selected, ...
    pub counts: Ordered<u64>,
    /// What the run found, in figures, by name; left out of the file if there is nothing.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub results: Ordered<Value>,
    /// Rules that had to be relaxed to fill the budget; empty if none.
    pub relaxations: Vec<String>,
    /// Whatever else a reader must know.
    pub notes: Vec<String>,
    /// Machine and versions.
    pub environment: Environment,
    /// Largest resident memory in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Files written (this record itself and the report, which shows it, are not among them).
    pub outputs: Vec<FileRecord>,
    /// Runs from `start` on; a record that was read back has none.
    #[serde(skip)]
    started: Option<Instant>,
}

impl RunRecord {
    /// Begins a record and its clock.
    pub fn start(program: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            version: version.into(),
            finished: String::new(),
            seconds: 0.0,
            parameters: Value::Null,
            inputs: Vec::new(),
            seeds: Ordered::new(),
            stages: Vec::new(),
            counts: Ordered::new(),
            results: Ordered::new(),
            relaxations: Vec::new(),
            notes: Vec::new(),
            environment: Environment::detect(),
            peak_memory_bytes: None,
            outputs: Vec::new(),
            started: Some(Instant::now()),
        }
    }

    /// Records the parameters.
    ///
    /// # Errors
    /// [`ReportError::Mismatch`] if one of them is NaN or infinite or is not JSON at all.
    pub fn set_parameters<P: Serialize>(&mut self, parameters: &P) -> Result<(), ReportError> {
        let refuse = |found: String| ReportError::Mismatch {
            what: format!("parameters of {}", self.program),
            found,
            expected: "values that JSON can hold".to_owned(),
        };
        if let Some(bad) = find_non_finite(parameters) {
            return Err(refuse(format!("{} in `{}`", bad.value, bad.field)));
        }
        self.parameters =
            serde_json::to_value(parameters).map_err(|source| refuse(source.to_string()))?;
        Ok(())
    }

    /// Hashes a file or folder that is read and records it.
    pub fn add_input(&mut self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        self.inputs.push(FileRecord::of(path)?);
        Ok(())
    }

    /// Hashes a file that was written and records it.
    pub fn add_output(&mut self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        self.outputs.push(FileRecord::of(path)?);
        Ok(())
    }

    /// Stops the clock and notes the time of day and the peak memory.
    pub fn finish(&mut self) {
        self.finished = rfc3339(SystemTime::now());
        self.seconds =
            self.started.map_or(self.seconds, |at| to_milliseconds(at.elapsed().as_secs_f64()));
        self.peak_memory_bytes = peak_memory_bytes();
    }

    /// Writes the record as indented JSON; the file appears complete or not at all.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        jsonl::write_pretty(path.as_ref(), self)
    }

    /// Reads a record back.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ReportError> {
        let path = path.as_ref();
        let text = std::fs::read(path).map_err(|source| ReportError::File {
            action: "read",
            path: path.to_owned(),
            source,
        })?;
        serde_json::from_slice(&text)
            .map_err(|source| ReportError::Decode { path: path.to_owned(), source })
    }
}
