//! Rises of a whole pool, kept in a store and resumed from it.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tamis_artifact::{Manifest, Progress, Store};
use tamis_dataset::Dataset;

use crate::{Anchor, Candidate, GoldenScorer, GoldenScores, NuggetsError, Work};

/// What the store is called in its manifest.
const KIND: &str = "golden-rises";
/// Version of the shard layout.
const FORMAT: u32 = 2;
/// The anchors and their scores without an example.
const ANCHORS: &str = "anchors.jsonl";

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// Rows of the pool.
    pub samples: usize,
    /// Rows whose shard an earlier run had written.
    pub resumed: usize,
    /// What was run through the model now.
    pub work: Work,
}

impl GoldenScorer<'_> {
    /// The manifest of the rises of `pool`: a store made from another model, other data, other
    /// anchors or with other settings is refused.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn manifest(&self, pool: &Dataset) -> Result<Manifest, NuggetsError> {
        let mut fields = self.description();
        let mut insert = |name: &str, value| fields.insert(name.to_owned(), value);
        insert("model", json!(self.model.fingerprint()?));
        insert("data", json!(pool.content_hash()));
        insert("data_format", json!(pool.format().to_string()));
        insert("samples", json!(pool.len()));
        Ok(Manifest { kind: KIND.to_owned(), format: FORMAT, fields })
    }

    /// Scores `pool` into `store`, one shard of [`shard_rows`](crate::GoldenParams::shard_rows) rows
    /// after the other, and finishes it. Shards that are there are not computed again; an interrupted
    /// run ends with the bytes of an undisturbed one on the same machine and number of threads.
    ///
    /// The store is one of [`GoldenScorer::manifest`]; [`read_scores`] reads it.
    ///
    /// # Errors
    /// What the model, the data or the store reports.
    pub fn run(
        &self,
        pool: &Dataset,
        store: &mut Store,
        progress: &mut dyn Progress,
    ) -> Result<PassReport, NuggetsError> {
        let (total, rows) = (pool.len(), self.params.shard_rows);
        let range = |number: usize| number * rows..((number + 1) * rows).min(total);
        let todo: Vec<usize> =
            (0..total.div_ceil(rows)).filter(|&n| !store.has(&shard_name(n))).collect();
        let resumed = total - todo.iter().map(|&n| range(n).len()).sum::<usize>();
        let mut report = PassReport { samples: total, resumed, work: Work::default() };
        progress.start("golden scores", total as u64, resumed as u64);
        if store.has(ANCHORS) {
            let anchors: Vec<Anchor> = lines(store, ANCHORS)?;
            self.take_zero_shot(anchors.iter().map(|anchor| anchor.zero_shot).collect());
        } else {
            store.write(ANCHORS, &to_bytes(&self.anchors()?, ANCHORS)?)?;
        }
        for number in todo {
            let samples = pool.read_range(range(number))?;
            let advance = |done| progress.advance(done as u64);
            let (candidates, work) = self.score_counted(&samples, advance)?;
            report.work.candidates += work.candidates;
            report.work.tokens += work.tokens;
            report.work.targets += work.targets;
            let name = shard_name(number);
            store.write(&name, &to_bytes(&candidates, &name)?)?;
        }
        store.finish()?;
        progress.finish();
        Ok(report)
    }
}

/// The rises in a finished store, in the order of the pool.
///
/// # Errors
/// A store that is not finished, or a shard that is damaged.
pub fn read_scores(store: &Store) -> Result<GoldenScores, NuggetsError> {
    if !store.is_complete() {
        return Err(NuggetsError::Incomplete { dir: store.dir().display().to_string() });
    }
    let anchors = lines(store, ANCHORS)?;
    let mut candidates: Vec<Candidate> = Vec::new();
    for number in 0..store.shards().filter(|&name| name != ANCHORS).count() {
        candidates.extend(lines(store, &shard_name(number))?);
    }
    GoldenScores::new(anchors, candidates)
}

fn lines<T: DeserializeOwned>(store: &Store, name: &str) -> Result<Vec<T>, NuggetsError> {
    let bytes = store.read(name)?;
    let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).map_err(|error| shard(name, &error))).collect()
}

fn to_bytes<T: Serialize>(items: &[T], name: &str) -> Result<Vec<u8>, NuggetsError> {
    let mut bytes = Vec::new();
    for item in items {
        serde_json::to_writer(&mut bytes, item).map_err(|error| shard(name, &error))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn shard(name: &str, error: &serde_json::Error) -> NuggetsError {
    NuggetsError::Shard { shard: name.to_owned(), reason: error.to_string() }
}

fn shard_name(number: usize) -> String {
    format!("rises-{number:05}.jsonl")
}
