//! Rises of a whole pool, kept in a store and resumed from it.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tamis_artifact::{Progress, Store};
use tamis_dataset::{Source, check_source, read_rows};

use crate::{Anchor, Candidate, GoldenScorer, GoldenScores, NuggetsError, Work};

/// What the store is called in its manifest.
const KIND: &str = "golden-rises";
/// Version of the shard layout.
const FORMAT: u32 = 3;
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
    /// Scores the rows of `pool` into the folder `dir`, one shard of [`shard_rows`](crate::GoldenParams::shard_rows) rows
    /// after the other. Shards that are there are not computed again; an interrupted run ends with the bytes of an
    /// undisturbed one on the same machine and number of threads. [`read_scores`] reads them.
    ///
    /// # Errors
    /// A folder made with another model or tokenizer, with other anchors or settings or from other rows, naming the field;
    /// rows that share an id; what the model, the source or the disk reports.
    pub fn run(
        &self,
        pool: &dyn Source,
        dir: impl AsRef<Path>,
        progress: &mut dyn Progress,
    ) -> Result<PassReport, NuggetsError> {
        check_source(pool)?;
        let provenance = self.provenance()?.source(pool.fingerprint()?);
        let mut store = Store::create_or_resume(dir, &provenance.manifest(KIND, FORMAT))?;
        let (total, rows) = (pool.len(), self.params.shard_rows);
        let range = |number: usize| number * rows..((number + 1) * rows).min(total);
        let todo: Vec<usize> =
            (0..total.div_ceil(rows)).filter(|&n| !store.has(&shard_name(n))).collect();
        let resumed = total - todo.iter().map(|&n| range(n).len()).sum::<usize>();
        let mut report = PassReport { samples: total, resumed, work: Work::default() };
        progress.start("golden scores", total as u64, resumed as u64);
        if store.has(ANCHORS) {
            let anchors: Vec<Anchor> = lines(&store, ANCHORS)?;
            self.take_zero_shot(anchors.iter().map(|anchor| anchor.zero_shot).collect());
        } else {
            store.write(ANCHORS, &to_bytes(&self.anchors()?, ANCHORS)?)?;
        }
        for number in todo {
            let samples = read_rows(pool, range(number))?;
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

/// The rises in the folder of a finished pass, in the order of the pool.
///
/// # Errors
/// No such folder, one that is not finished, or a shard that is damaged.
pub fn read_scores(dir: impl AsRef<Path>) -> Result<GoldenScores, NuggetsError> {
    let store = Store::open(dir)?;
    if !store.is_complete() {
        return Err(NuggetsError::Incomplete { dir: store.dir().display().to_string() });
    }
    let anchors = lines(&store, ANCHORS)?;
    let mut candidates: Vec<Candidate> = Vec::new();
    for number in 0..store.shards().filter(|&name| name != ANCHORS).count() {
        candidates.extend(lines(&store, &shard_name(number))?);
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
