//! Scores of the pool by each method.

use std::ops::Range;

use anyhow::{Context, Result, bail};
use ndarray::ArrayView2;
use tamis::artifact::Random;
use tamis::dataset::{Dataset, Outcome, Sample, SampleId};
use tamis::embeddings::Embedder;
use tamis::model::{CausalLm, DeviceSpec};
use tamis::report::RunRecord;
use tamis::selection::targets::{Cosines, ScoredCandidate, Target, TargetScores, Unscored};

use super::Flags;
use crate::embedded;

/// Rows that are read at a time.
const CHUNK: usize = 4096;

/// RDS+: cosines of hidden states. Those of the pool are kept in `embeddings` of the output folder.
///
/// # Errors
/// What the model folder lacks, embeddings of something else (naming the field), or an example that
/// cannot be embedded.
pub fn by_hidden_states(
    flags: &Flags,
    pool: &Dataset,
    targets: Vec<(Target, Sample)>,
    record: &mut RunRecord,
) -> Result<TargetScores> {
    let model = flags.model()?;
    let (encoder, params) = (flags.encoder(&model)?, flags.embedding());
    let loaded = model.load()?;
    record.environment.device = Some(DeviceSpec::from(loaded.shape().device).to_string());
    let embedder = Embedder::new(&loaded, &encoder, &params)?;
    // Examples first: what is wrong with them is said before the long work.
    let (names, examples): (Vec<Target>, Vec<Sample>) = targets.into_iter().unzip();
    let mut vectors = Vec::new();
    for (target, outcome) in names.into_iter().zip(embedder.embed(&examples)?) {
        match outcome {
            Outcome::Scored(embedding) => vectors.push((target, embedding.values)),
            Outcome::Unscorable { reason, .. } => {
                bail!("example {} of {} cannot be used: {reason}", target.name, target.task)
            }
        }
    }
    let mut cosines = Cosines::new(vectors)?;
    let dir = flags.out.join("embeddings");
    let embeddings = embedded(&embedder, pool, &dir, record)?;
    let indices = embeddings.indices().context("the embeddings do not tell their rows")?;
    let ids = embeddings.ids().context("the embeddings do not tell their ids")?;
    let mut scratch = Vec::new();
    for rows in chunks(embeddings.len()) {
        let names: Vec<(SampleId, usize)> =
            rows.clone().map(|row| (SampleId::from(ids[row].as_str()), indices[row])).collect();
        let block = embeddings.block(rows.start, rows.len(), &mut scratch);
        cosines.add(&names, ArrayView2::from_shape((rows.len(), cosines.width()), block)?)?;
    }
    for skipped in embeddings.skipped() {
        let (id, reason) = (skipped.id.as_str().into(), skipped.reason.replace('_', " "));
        cosines.add_unscored(Unscored { id, index: skipped.index, reason });
    }
    Ok(cosines.finish()?)
}

/// BM25 of the words of each row against those of each example.
///
/// # Errors
/// Settings out of their range, or an example without words.
pub fn by_words(
    flags: &Flags,
    pool: &Dataset,
    targets: &[(Target, Sample)],
) -> Result<TargetScores> {
    let mut bm25 = flags.bm25().check(targets)?;
    for rows in chunks(pool.len()) {
        for Sample { id, index, content } in pool.read_range(rows)? {
            bm25.add(id, index, &content);
        }
    }
    Ok(bm25.finish()?)
}

/// A random number for every row, as if it were the score of a task.
///
/// # Errors
/// A row that can no longer be read.
pub fn by_chance(flags: &Flags, pool: &Dataset) -> Result<TargetScores> {
    let mut numbers = Random::keyed(flags.seed, "retrieve random", "");
    let mut candidates = Vec::with_capacity(pool.len());
    for rows in chunks(pool.len()) {
        for Sample { id, index, .. } in pool.read_range(rows)? {
            candidates.push(ScoredCandidate { id, index, scores: vec![numbers.fraction() as f32] });
        }
    }
    Ok(TargetScores::new(vec![Target::new("random", "random")], candidates, Vec::new())?)
}

fn chunks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(CHUNK).map(move |first| first..(first + CHUNK).min(rows))
}
