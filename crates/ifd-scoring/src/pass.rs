//! Scores of a whole data set, kept in a store and resumed from it.

use serde::{Deserialize, Serialize};
use serde_json::json;
use tamis_artifact::{Manifest, Progress, Store};
use tamis_dataset::{Dataset, SampleId};

use crate::{IfdError, Ratio, SampleScores, Scorer, Terms, Work};

/// What the store is called in its manifest.
const KIND: &str = "ifd-terms";
/// Version of the shard layout.
const FORMAT: u32 = 2;

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// Samples of the data set.
    pub samples: usize,
    /// Samples whose shard an earlier run had written.
    pub resumed: usize,
    /// What was run through the model now.
    pub work: Work,
}

/// A line of a shard: everything but the form of the ratio, which can be chosen afterwards.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: SampleId,
    index: usize,
    answer: Terms,
    instruction: Terms,
}

impl Scorer<'_> {
    /// The manifest of the scores of `dataset`: a store made from another model, other data or with
    /// other settings is refused.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn manifest(&self, dataset: &Dataset) -> Result<Manifest, IfdError> {
        let mut fields = self.description();
        let mut insert = |name: &str, value| fields.insert(name.to_owned(), value);
        insert("model", json!(self.model.fingerprint()?));
        insert("data", json!(dataset.content_hash()));
        insert("data_format", json!(dataset.format().to_string()));
        insert("samples", json!(dataset.len()));
        Ok(Manifest { kind: KIND.to_owned(), format: FORMAT, fields })
    }

    /// Scores `dataset` into `store`, one shard of [`shard_rows`](crate::ScoreParams::shard_rows)
    /// samples after the other. Shards that are there are not computed again.
    ///
    /// The store is one of [`Scorer::manifest`]; the scores are read by [`read_scores`], by fresh
    /// and resumed runs alike.
    ///
    /// # Errors
    /// What the model, the data or the store reports.
    pub fn run(
        &self,
        dataset: &Dataset,
        store: &mut Store,
        progress: &mut dyn Progress,
    ) -> Result<PassReport, IfdError> {
        let (total, rows) = (dataset.len(), self.params.shard_rows);
        let range = |number: usize| number * rows..((number + 1) * rows).min(total);
        let todo: Vec<usize> =
            (0..total.div_ceil(rows)).filter(|&n| !store.has(&shard_name(n))).collect();
        let resumed = total - todo.iter().map(|&n| range(n).len()).sum::<usize>();
        let mut report = PassReport { samples: total, resumed, work: Work::default() };
        progress.start("scores", total as u64, resumed as u64);
        for number in todo {
            let samples = dataset.read_range(range(number))?;
            // Terms are run in the order of their lengths; samples are told off by their share.
            let (mut told, mut tokens) = (0, 0);
            let (scores, work) = self.watched(&samples, |batch| {
                tokens += batch.tokens;
                let share = samples.len() * tokens / batch.of.max(1);
                progress.advance((share - told) as u64);
                told = share;
            })?;
            progress.advance((samples.len() - told) as u64);
            report.work.rows += work.rows;
            report.work.tokens += work.tokens;
            report.work.targets += work.targets;
            let name = shard_name(number);
            store.write(&name, &to_bytes(scores, &name)?)?;
        }
        store.finish()?;
        progress.finish();
        Ok(report)
    }
}

/// The scores in a finished store, in the order of the data set.
///
/// # Errors
/// A store that is not finished, or a shard that is damaged.
pub fn read_scores(store: &Store, ratio: Ratio) -> Result<Vec<SampleScores>, IfdError> {
    if !store.is_complete() {
        return Err(IfdError::Incomplete { dir: store.dir().display().to_string() });
    }
    let mut scores = Vec::new();
    for number in 0..store.shards().count() {
        let name = shard_name(number);
        for line in store.read(&name)?.split(|&byte| byte == b'\n').filter(|l| !l.is_empty()) {
            let Line { id, index, answer, instruction } =
                serde_json::from_slice(line).map_err(|error| shard(&name, &error))?;
            scores.push(SampleScores { id, index, answer, instruction, ratio });
        }
    }
    Ok(scores)
}

fn to_bytes(scores: Vec<SampleScores>, name: &str) -> Result<Vec<u8>, IfdError> {
    let mut bytes = Vec::new();
    for SampleScores { id, index, answer, instruction, .. } in scores {
        let line = Line { id, index, answer, instruction };
        serde_json::to_writer(&mut bytes, &line).map_err(|error| shard(name, &error))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn shard(name: &str, error: &serde_json::Error) -> IfdError {
    IfdError::Shard { shard: name.to_owned(), reason: error.to_string() }
}

fn shard_name(number: usize) -> String {
    format!("terms-{number:05}.jsonl")
}
