//! What happens, in words on standard error.

use tamis::diverse_evol::{Metrics, Observer, RoundStage};

/// Tells each stage as it begins; stages of an earlier run are counted.
#[derive(Debug, Default)]
pub struct Telling {
    /// Stages that an earlier run had finished.
    pub before: usize,
    told: bool,
}

impl Observer for Telling {
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

    fn measured(&mut self, round: usize, metrics: &Metrics) {
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

    fn done_before(&mut self, _round: usize, _stage: RoundStage) {
        self.before += 1;
    }
}
