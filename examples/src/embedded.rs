//! Embeddings of a data file, computed once and kept.

use std::path::Path;

use anyhow::{Context, Result};
use tamis::artifact::Store;
use tamis::dataset::Dataset;
use tamis::embeddings::{Embedder, Embeddings};
use tamis::report::{RunRecord, StageTimer};

use crate::Bars;

/// Rows from which the work is estimated.
const PROBE: usize = 200;

/// Embeds `data` into the folder `dir`, where an earlier run may have left some or all of them.
///
/// # Errors
/// A folder of embeddings of something else (naming the field), or data of which no row can be
/// embedded.
pub fn embedded(
    embedder: &Embedder<'_>,
    data: &Dataset,
    dir: &Path,
    record: &mut RunRecord,
) -> Result<Embeddings> {
    let mut timer = StageTimer::start("embeddings");
    if !crate::is_finished(dir) {
        let few = data.read_range(0..data.len().min(PROBE))?;
        crate::note!("embeddings: {}", embedder.estimate(&few, data.len())?);
    }
    let report = embedder.run(data, dir, &mut Bars::default())?;
    timer.rows(report.rows as u64).resumed(report.resumed > 0);
    if report.resumed == report.rows {
        crate::note!("embeddings: all {} samples were done before", data.len());
    } else {
        record.notes.push(format!("{} tokens embedded in this run", report.tokens));
    }
    let embeddings = Embeddings::open(dir)
        .with_context(|| format!("opening the embeddings of {}", data.path().display()))?;
    record.stages.push(timer.finish());
    Ok(embeddings)
}

/// Whether a pass into this folder has reached its end, so that nothing is left to estimate. Whether it is of the same
/// rows, model and settings is for the pass to say.
pub fn is_finished(dir: &Path) -> bool {
    Store::open(dir).is_ok()
}
