//! The samples of a run.

use std::path::PathBuf;

use anyhow::{Context, Result};
use tamis::dataset::{Encoded, Encoder, Encodings};
use tamis::report::RunRecord;

use crate::TextFlags;

/// Rows of a file as tokens.
#[derive(Debug)]
pub struct Part {
    /// Those that can be used.
    pub samples: Vec<Encoded>,
    /// Rows that could be read.
    pub rows: usize,
}

/// Rows without use that `run.json` names; the rest are counted.
const NAMED: usize = 100;

/// Reads and tokenises a file and records it under `name`: its hash, counts, and rows that cannot
/// be used with the reason.
///
/// # Errors
/// A file that cannot be read, or none of whose rows can be used.
pub fn read(
    name: &str,
    path: &PathBuf,
    text: &TextFlags,
    encoder: &Encoder,
    record: &mut RunRecord,
) -> Result<Part> {
    let dataset = text.open(path)?;
    record.add_input(path)?;
    let (mut samples, unusable) = Encodings::new(&dataset, encoder).read_all()?;
    let row_of = |position: usize| dataset.row(position).unwrap_or(position);
    samples.iter_mut().for_each(|sample| sample.index = row_of(sample.index));
    for reject in dataset.rejects().iter().take(NAMED) {
        record.notes.push(format!("{name}: not read: {reject}"));
    }
    for row in unusable.iter().take(NAMED) {
        record.notes.push(format!(
            "{name}: {} (row {}) left out: {}",
            row.id,
            row_of(row.index),
            row.reason
        ));
    }
    record.counts.set(format!("{name}_rows"), dataset.len() as u64);
    record.counts.set(format!("{name}_rejected"), dataset.rejects().len() as u64);
    record.counts.set(format!("{name}_left_out"), unusable.len() as u64);
    record.counts.set(format!("{name}_used"), samples.len() as u64);
    if let (true, Some(row)) = (samples.is_empty(), unusable.first()) {
        return Err(anyhow::anyhow!("{} (row {}): {}", row.id, row_of(row.index), row.reason))
            .with_context(|| format!("no row of {} can be used", path.display()));
    }
    if !unusable.is_empty() {
        let (left_out, rows) = (unusable.len(), dataset.len());
        crate::note!("{name}: {left_out} of {rows} rows are left out; run.json has the reasons");
    }
    Ok(Part { samples, rows: dataset.len() })
}
