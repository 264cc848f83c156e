//! Embeddings of a data file, computed once and kept.

use std::path::Path;

use anyhow::{Context, Result};
use tamis::dataset::Dataset;
use tamis::embeddings::{Embedder, EmbeddingStore, Embeddings};
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
    let mut store = EmbeddingStore::create_or_resume(dir, embedder.fields(data)?)?;
    if store.artifact().is_complete() {
        crate::note!("embeddings: all {} samples were done before", data.len());
        timer.rows(data.len() as u64).resumed(true);
    } else {
        let few = data.read_range(0..data.len().min(PROBE))?;
        crate::note!("embeddings: {}", embedder.estimate(&few, data.len())?);
        let report = embedder.run(data, &mut store, &mut Bars::default())?;
        timer.rows(report.samples as u64).resumed(report.resumed > 0);
        record.notes.push(format!("{} tokens embedded in this run", report.tokens));
    }
    drop(store);
    let embeddings = Embeddings::open(dir)
        .with_context(|| format!("opening the embeddings of {}", data.path().display()))?;
    record.stages.push(timer.finish());
    Ok(embeddings)
}
