//! What happens, in words on standard error.

use serde::Deserialize;
use serde_json::Value;
use tamis::artifact::{Progress, Stage};
use tamis::diverse_evol::{Metrics, RoundStage};

/// Tells each stage as it begins; stages of an earlier run are counted.
#[derive(Debug, Default)]
pub struct Telling {
    /// Stages that an earlier run had finished.
    pub before: usize,
    told: bool,
}

impl Progress for Telling {
    fn start(&mut self, _: &Stage<'_>) {}

    fn advance(&mut self, _: u64) {}

    fn record(&mut self, kind: &str, record: &Value) {
        let number = |field: &str| record[field].as_u64().unwrap_or(0) as usize;
        match kind {
            "begun" => {
                if let Ok(stage) = RoundStage::deserialize(&record["stage"]) {
                    self.begin(number("round"), stage, number("records"));
                }
            }
            "measured" => {
                if let Ok(metrics) = Metrics::deserialize(&record["metrics"]) {
                    measured(number("round"), &metrics);
                }
            }
            "done before" => self.before += 1,
            _ => {}
        }
    }
}

impl Telling {
    fn begin(&mut self, round: usize, stage: RoundStage, records: usize) {
        if self.before > 0 && !self.told {
            crate::note!("{} stages were done before", self.before);
        }
        self.told = true;
        match stage {
            RoundStage::View => crate::note!("round {round}: looking at all rows"),
            RoundStage::Pick if round == 0 => crate::note!("round 0: drawing"),
            RoundStage::Pick => crate::note!("round {round}: choosing beside {records} rows"),
            RoundStage::Train => crate::note!("round {round}: training on {records} rows"),
            RoundStage::Measure => {}
        }
    }
}

fn measured(round: usize, metrics: &Metrics) {
    let told = [("held-out loss", "held_out_loss"), ("training loss", "train_loss")];
    let told = told.into_iter().filter_map(|(name, key)| {
        let loss = metrics.get(key)?;
        Some(format!("{name} {loss:.4}"))
    });
    let told: Vec<String> = told.collect();
    if !told.is_empty() {
        crate::note!("round {round}: {}", told.join(", "));
    }
}
