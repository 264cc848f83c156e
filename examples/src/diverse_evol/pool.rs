//! The rows to choose from, as tokens.

use anyhow::{Context, Result, ensure};
use tamis::dataset::{Dataset, Encoded, Encoder, Outcome, SampleId};
use tamis::diverse_evol::Evolution;
use tamis::report::RunRecord;

/// Rows that are tokenised at a time.
const CHUNK: usize = 4096;
/// Rows without use that `run.json` names; the rest are counted.
const NAMED: usize = 100;

/// What the files with the training set of a round are called.
pub(super) const SET: &str = "train";

/// The rows of a pool that can be trained on. Everything but the results counts these.
#[derive(Debug)]
pub struct Candidates<'a> {
    /// The pool.
    pub dataset: &'a Dataset,
    /// What makes tokens of its rows.
    pub encoder: &'a Encoder,
    /// The candidates.
    pub samples: Vec<Encoded>,
    /// Their ids.
    pub ids: Vec<SampleId>,
    /// Their places among the rows of the pool.
    pub positions: Vec<usize>,
    /// Why the other rows are none: place, id, row in the file, reason.
    pub left_out: Vec<(usize, SampleId, usize, String)>,
}

impl<'a> Candidates<'a> {
    /// Reads and tokenises the whole pool.
    ///
    /// # Errors
    /// A pool that cannot be read, or none of whose rows can be used.
    pub fn read(dataset: &'a Dataset, encoder: &'a Encoder) -> Result<Self> {
        let mut all = Self {
            dataset,
            encoder,
            samples: Vec::new(),
            ids: Vec::new(),
            positions: Vec::new(),
            left_out: Vec::new(),
        };
        for first in (0..dataset.len()).step_by(CHUNK) {
            let rows = dataset.read_range(first..(first + CHUNK).min(dataset.len()))?;
            for (place, outcome) in (first..).zip(encoder.encode_all(&rows)) {
                match outcome {
                    Outcome::Scored(sample) => {
                        all.ids.push(sample.id.clone());
                        all.positions.push(place);
                        all.samples.push(sample);
                    }
                    Outcome::Unscorable { id, index, reason } => {
                        all.left_out.push((place, id, index, reason.to_string()));
                    }
                }
            }
        }
        let why = all.left_out.first().map(|(_, id, _, reason)| format!("{id}: {reason}"));
        ensure!(
            !all.samples.is_empty(),
            "no row of the pool can be used; {}",
            why.unwrap_or_default()
        );
        Ok(all)
    }

    /// Writes the rows of some candidates as they came in.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write(
        &self,
        candidates: &[usize],
        dir: &std::path::Path,
        stem: &str,
    ) -> Result<Vec<std::path::PathBuf>> {
        let positions: Vec<usize> = candidates.iter().map(|&n| self.positions[n]).collect();
        self.dataset
            .write_rows(&positions, dir, stem)
            .with_context(|| format!("writing rows to {}", dir.display()))
    }

    /// Writes the training set of every round into its folder: also of those that no model was trained
    /// on.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_sets(&self, grown: &Evolution) -> Result<()> {
        for round in &grown.rounds {
            self.write(&grown.set(round.round), &round.dir, SET)?;
        }
        Ok(())
    }

    /// Puts counts and rows without use into the record of the run.
    pub fn count(&self, record: &mut RunRecord) {
        for reject in self.dataset.rejects().iter().take(NAMED) {
            record.notes.push(format!("not read: {reject}"));
        }
        for (_, id, index, reason) in self.left_out.iter().take(NAMED) {
            record.notes.push(format!("{id} (row {index}) left out: {reason}"));
        }
        let (rows, rejects) = (self.dataset.len(), self.dataset.rejects().len());
        for (name, count) in [
            ("read", rows + rejects),
            ("rejected", rejects + self.left_out.len()),
            ("candidates", self.samples.len()),
        ] {
            record.counts.set(name, count as u64);
        }
        if !self.left_out.is_empty() {
            let left_out = self.left_out.len();
            crate::note!("pool: {left_out} of {rows} rows are left out; run.json has the reasons");
        }
    }
}
