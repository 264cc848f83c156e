//! The anchors: given, or representatives of the pool.

use anyhow::{Context, Result, ensure};
use tamis::clustering::KMeansParams;
use tamis::dataset::{Answers, Dataset, EncodeOptions, Sample};
use tamis::embeddings::{EmbedParams, Embedder, Embeddings};
use tamis::model::Model;
use tamis::nuggets::{GoldenParams, representatives};
use tamis::report::{RunRecord, StageTimer};

use super::Flags;
use crate::{Bars, open_rows};

/// Rows from which the work is estimated.
const PROBE: usize = 200;
/// Rows that are read at a time.
const CHUNK: usize = 4096;

/// The rows of `--anchors`, or the rows of the pool that stand for its clusters. Embeddings of the
/// pool lie in `embeddings` of the output folder, where an earlier run may have left some or all.
///
/// # Errors
/// A file that cannot be read, a folder of embeddings of something else (naming the field), or fewer
/// rows that may be drawn than anchors are asked for.
pub fn anchors(
    flags: &Flags,
    scoring: &GoldenParams,
    model: &Model,
    pool: &Dataset,
    record: &mut RunRecord,
) -> Result<Vec<Sample>> {
    if let Some(path) = &flags.anchors {
        let given = open_rows(path, None, false, false)?;
        return Ok(given.read_range(0..given.len())?);
    }
    let mut timer = StageTimer::start("anchors");
    let options = EncodeOptions {
        max_length: flags.anchor_tokens(scoring.max_length)?,
        answers: Answers::Last,
        append_eos: false,
        target_language: scoring.target_language.clone(),
        ..EncodeOptions::default()
    };
    let encoder = model.encoder(scoring.template.clone(), options)?;
    let params = EmbedParams { token_budget: flags.token_budget, ..EmbedParams::default() };
    let embedder = Embedder::new(model, &encoder, &params)?;
    let dir = flags.out.join("embeddings");
    if !crate::is_finished(&dir) {
        let few = pool.read_range(0..pool.len().min(PROBE))?;
        crate::note!("anchors: {}", embedder.estimate(&few, pool.len())?);
    }
    let report = embedder.run(pool, &dir, &mut Bars::default())?;
    timer.rows(report.rows as u64).resumed(report.resumed > 0);
    let embeddings = Embeddings::open(&dir)
        .with_context(|| format!("opening the embeddings of {}", pool.path().display()))?;
    let (rows, k) = (embeddings.len(), flags.anchor_count);
    ensure!(
        k <= rows,
        "{k} anchors are to be drawn, but only {rows} of {} rows may be: lower --anchor-count, or \
         raise --anchor-tokens",
        pool.len()
    );
    let kmeans = KMeansParams { k, seed: flags.seed, ..KMeansParams::default() }.check()?;
    let indices = embeddings.indices().context("the embeddings do not say which rows they are")?;
    let drawn: Vec<usize> =
        representatives(&embeddings, &kmeans)?.into_iter().map(|row| indices[row]).collect();
    let mut anchors = Vec::with_capacity(k);
    for first in (0..pool.len()).step_by(CHUNK) {
        let samples = pool.read_range(first..(first + CHUNK).min(pool.len()))?;
        anchors.extend(samples.into_iter().filter(|s| drawn.binary_search(&s.index).is_ok()));
    }
    crate::note!("anchors: {k} of {rows} rows of the pool, one from each cluster");
    record.stages.push(timer.finish());
    Ok(anchors)
}
