//! How long things took. Kept apart from the journal, whose bytes must not depend on the clock.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{EvolError, RoundStage, Seconds};

/// A file of lines, one for each stage that came to its end. A stage that went on after an interruption
/// counts from there.
#[derive(Debug)]
pub(crate) struct Times {
    path: PathBuf,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Line {
    round: usize,
    stage: RoundStage,
    seconds: f64,
}

impl Times {
    /// Reads what there is; lines that a kill tore are left out.
    pub(crate) fn read(path: &Path) -> Result<Self, EvolError> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(EvolError::io("read", path))?,
        };
        let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { path: path.to_owned(), lines })
    }

    pub(crate) fn add(
        &mut self,
        round: usize,
        stage: RoundStage,
        seconds: f64,
    ) -> Result<(), EvolError> {
        let line = Line { round, stage, seconds };
        self.lines.push(line);
        let io = |error| EvolError::io("write", &self.path)(error);
        let text = serde_json::to_string(&line).map_err(|error| io(error.into()))?;
        // The line before may have lost its end.
        let mut file = OpenOptions::new().create(true).append(true).open(&self.path).map_err(io)?;
        file.write_all(format!("\n{text}").as_bytes()).map_err(io)
    }

    /// What a round took.
    pub(crate) fn of(&self, round: usize) -> Seconds {
        let sum = |stage: RoundStage| {
            let lines = self.lines.iter().filter(|line| (line.round, line.stage) == (round, stage));
            lines.map(|line| line.seconds).sum()
        };
        Seconds {
            view: sum(RoundStage::View),
            pick: sum(RoundStage::Pick),
            train: sum(RoundStage::Train),
            measure: sum(RoundStage::Measure),
        }
    }
}
