//! The samples of a run.

use std::path::Path;

use anyhow::{Context, Result};
use tamis::dataset::{Dataset, Encoded, Encoder, Encodings, Skipped, Source};
use tamis::report::RunRecord;

use crate::TextFlags;

/// Rows without use that `run.json` names; the rest are counted.
const NAMED: usize = 100;

/// Opens a file and records it under `name`: its hash, how many rows it has, and what of it is no row.
///
/// # Errors
/// A file that cannot be read.
pub fn open(name: &str, path: &Path, text: &TextFlags, record: &mut RunRecord) -> Result<Dataset> {
    let dataset = text.open(path)?;
    record.add_input(path)?;
    for reject in dataset.rejects().iter().take(NAMED) {
        record.notes.push(format!("{name}: not read: {reject}"));
    }
    record.counts.set(format!("{name}_rows"), dataset.len() as u64);
    record.counts.set(format!("{name}_rejected"), dataset.rejects().len() as u64);
    Ok(dataset)
}

/// Records under `name` which rows could not be used, with their reasons.
///
/// # Errors
/// A file that cannot be read any more.
pub fn left_out(
    name: &str,
    dataset: &Dataset,
    skipped: &[Skipped],
    record: &mut RunRecord,
) -> Result<()> {
    let named = &skipped[..skipped.len().min(NAMED)];
    let positions: Vec<usize> = named.iter().map(|row| row.index).collect();
    for (row, Skipped { id, reason, .. }) in Source::read(dataset, &positions)?.iter().zip(named) {
        record.notes.push(format!("{name}: {id} (row {}) left out: {reason}", row.index));
    }
    let (rows, count) = (dataset.len(), skipped.len());
    record.counts.set(format!("{name}_left_out"), count as u64);
    record.counts.set(format!("{name}_used"), (rows - count) as u64);
    if count > 0 {
        crate::note!("{name}: {count} of {rows} rows are left out; run.json has the reasons");
    }
    Ok(())
}

/// Reads and tokenises a small file whose rows are held, and records it as [`open`] and [`left_out`] do.
///
/// # Errors
/// A file that cannot be read, or none of whose rows can be used.
pub fn read(
    name: &str,
    path: &Path,
    text: &TextFlags,
    encoder: &Encoder,
    record: &mut RunRecord,
) -> Result<Vec<Encoded>> {
    let dataset = open(name, path, text, record)?;
    let (mut samples, skipped) = Encodings::new(&dataset, encoder).read_all()?;
    let row_of = |position: usize| dataset.row(position).unwrap_or(position);
    for sample in &mut samples {
        sample.index = row_of(sample.index);
    }
    left_out(name, &dataset, &skipped, record)?;
    if let (true, Some(Skipped { id, index, reason })) = (samples.is_empty(), skipped.first()) {
        let index = row_of(*index);
        return Err(anyhow::anyhow!("{id} (row {index}): {reason}"))
            .with_context(|| format!("no row of {} can be used", path.display()));
    }
    Ok(samples)
}
