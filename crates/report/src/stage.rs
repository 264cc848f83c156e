//! The steps of a run and how long they took.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageRecord {
    /// What was done, such as `gradients`.
    pub name: String,
    /// Wall-clock seconds in this run; work of an earlier, interrupted run is not in it.
    pub seconds: f64,
    /// Rows handled, where the step has rows.
    pub rows: Option<u64>,
    /// Whether some of it was found done by an earlier run.
    pub resumed: bool,
}

/// A running clock that becomes a [`StageRecord`].
///
/// ```
/// let mut timer = tamis_report::StageTimer::start("score");
/// // ... the work ...
/// timer.rows(1000).resumed(false);
/// let stage = timer.finish();
/// assert_eq!((stage.name.as_str(), stage.rows), ("score", Some(1000)));
/// ```
#[derive(Debug)]
pub struct StageTimer {
    name: String,
    started: Instant,
    rows: Option<u64>,
    resumed: bool,
}

impl StageTimer {
    /// Starts the clock.
    pub fn start(name: impl Into<String>) -> Self {
        Self { name: name.into(), started: Instant::now(), rows: None, resumed: false }
    }

    /// How many rows the step handled.
    pub fn rows(&mut self, rows: u64) -> &mut Self {
        self.rows = Some(rows);
        self
    }

    /// Whether an earlier run had done part of the step.
    pub fn resumed(&mut self, resumed: bool) -> &mut Self {
        self.resumed = resumed;
        self
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Stops the clock.
    pub fn finish(self) -> StageRecord {
        StageRecord {
            seconds: to_milliseconds(self.seconds()),
            name: self.name,
            rows: self.rows,
            resumed: self.resumed,
        }
    }
}

/// Seconds rounded to what a wall clock is good for.
pub(crate) fn to_milliseconds(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
