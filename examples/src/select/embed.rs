//! Embeddings of the data, computed first.

use anyhow::{Context, Result};
use serde_json::{Map, json};
use tamis::artifact::hash_file;
use tamis::dataset::Dataset;
use tamis::embeddings::{Embedder, EmbeddingStore, Embeddings};
use tamis::model::DeviceSpec;
use tamis::report::{RunRecord, StageTimer};

use super::Flags;
use crate::{Bars, ModelFlags};

/// Rows from which the work is estimated.
const PROBE: usize = 200;

/// Embeds `data` into `embeddings` of the output folder, where an earlier run may have left some or
/// all of them.
///
/// # Errors
/// What the model folder lacks, a folder of embeddings of something else (naming the field), or
/// data of which no row can be embedded.
pub fn embed(
    flags: &Flags,
    model: &ModelFlags,
    data: &Dataset,
    record: &mut RunRecord,
) -> Result<Embeddings> {
    let mut timer = StageTimer::start("embeddings");
    let (encoder, params) = (flags.encoder(model)?, flags.embedding());
    let loaded = model.load()?;
    record.environment.device = Some(DeviceSpec::from(loaded.shape().device).to_string());
    let embedder = Embedder::new(loaded.as_ref(), &encoder, &params)?;
    // What a model computes depends on its configuration as well as its weights.
    let config = hash_file(model.model.join("config.json"))?;
    let further = Map::from_iter([("config".to_owned(), json!(config))]);
    let dir = flags.out.join("embeddings");
    let mut store = EmbeddingStore::create_or_resume(&dir, embedder.fields(data, further)?)?;
    if store.artifact().is_complete() {
        eprintln!("embeddings: all {} samples were done before", data.len());
        timer.rows(data.len() as u64).resumed(true);
    } else {
        let few = data.read(0..data.len().min(PROBE))?;
        eprintln!("embeddings: {}", embedder.estimate(&few, data.len())?);
        let report = embedder.run(data, &mut store, &mut Bars::default())?;
        timer.rows(report.samples as u64).resumed(report.resumed > 0);
        record.notes.push(format!("{} tokens embedded in this run", report.tokens));
    }
    drop(store);
    let embeddings = Embeddings::open(&dir)
        .with_context(|| format!("opening the embeddings of {}", data.path().display()))?;
    record.stages.push(timer.finish());
    Ok(embeddings)
}
