//! The rows to choose from, as tokens.

use anyhow::{Context, Result, ensure};
use tamis::dataset::{Dataset, Encoder, Encodings, Outcome, SampleId, Subset};
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
    /// The candidates, in their order in the pool.
    pub rows: Subset<'a>,
    /// Their ids.
    pub ids: Vec<SampleId>,
    /// Their rows in the file.
    pub indices: Vec<usize>,
    /// Their lengths in tokens.
    pub lengths: Vec<usize>,
    /// Why the other rows are none: place, id, row in the file, reason.
    pub left_out: Vec<(usize, SampleId, usize, String)>,
}

impl<'a> Candidates<'a> {
    /// Reads and tokenises the whole pool, a part at a time, to see which rows can be used. No tokens are kept.
    ///
    /// # Errors
    /// A pool that cannot be read, or none of whose rows can be used.
    pub fn read(dataset: &'a Dataset, encoder: &'a Encoder) -> Result<Self> {
        let (mut ids, mut indices, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let (mut positions, mut left_out) = (Vec::new(), Vec::new());
        for first in (0..dataset.len()).step_by(CHUNK) {
            let rows = dataset.read_range(first..(first + CHUNK).min(dataset.len()))?;
            for (place, outcome) in (first..).zip(encoder.encode_all(&rows)) {
                match outcome {
                    Outcome::Scored(sample) => {
                        lengths.push(sample.len());
                        ids.push(sample.id);
                        indices.push(sample.index);
                        positions.push(place);
                    }
                    Outcome::Unscorable { id, index, reason } => {
                        left_out.push((place, id, index, reason.to_string()));
                    }
                }
            }
        }
        let why = left_out.first().map(|(_, id, _, reason)| format!("{id}: {reason}"));
        ensure!(!ids.is_empty(), "no row of the pool can be used; {}", why.unwrap_or_default());
        let rows = Subset::new(dataset, positions)?;
        Ok(Self { dataset, encoder, rows, ids, indices, lengths, left_out })
    }

    /// The candidates as tokens.
    pub fn encodings(&self) -> Encodings<'_> {
        Encodings::new(&self.rows, self.encoder)
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
        let positions: Vec<usize> = candidates.iter().map(|&n| self.rows.positions()[n]).collect();
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
            ("candidates", self.ids.len()),
        ] {
            record.counts.set(name, count as u64);
        }
        if !self.left_out.is_empty() {
            let left_out = self.left_out.len();
            crate::note!("pool: {left_out} of {rows} rows are left out; run.json has the reasons");
        }
    }
}
