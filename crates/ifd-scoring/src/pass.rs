//! Scores of all rows of a source, kept in a store and resumed from it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_artifact::{Progress, Store};
use tamis_dataset::{SampleId, Source, check_source, read_rows};

use crate::{IfdError, Ratio, SampleScores, Scorer, Terms, Work};

/// What the store is called in its manifest.
const KIND: &str = "ifd-terms";
/// Version of the shard layout.
const FORMAT: u32 = 3;

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// Rows of the source.
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
    /// Scores the rows of `source` into the folder `dir`, one shard of [`shard_rows`](crate::ScoreParams::shard_rows) rows
    /// after the other. Shards that are there are not computed again; [`read_scores`] reads them.
    ///
    /// # Errors
    /// A folder made with another model or tokenizer, with other settings or from other rows, naming the field; rows that
    /// share an id; what the model, the source or the disk reports.
    pub fn run(
        &self,
        source: &dyn Source,
        dir: impl AsRef<Path>,
        progress: &mut dyn Progress,
    ) -> Result<PassReport, IfdError> {
        check_source(source)?;
        let provenance = self.provenance()?.source(source.fingerprint()?);
        let mut store = Store::create_or_resume(dir, &provenance.manifest(KIND, FORMAT))?;
        let (total, rows) = (source.len(), self.params.shard_rows);
        let range = |number: usize| number * rows..((number + 1) * rows).min(total);
        let todo: Vec<usize> =
            (0..total.div_ceil(rows)).filter(|&n| !store.has(&shard_name(n))).collect();
        let resumed = total - todo.iter().map(|&n| range(n).len()).sum::<usize>();
        let mut report = PassReport { samples: total, resumed, work: Work::default() };
        progress.start("scores", total as u64, resumed as u64);
        for number in todo {
            let samples = read_rows(source, range(number))?;
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

/// The scores in the folder of a finished pass, in the order of the source.
///
/// # Errors
/// No such folder, one that is not finished, or a shard that is damaged.
pub fn read_scores(dir: impl AsRef<Path>, ratio: Ratio) -> Result<Vec<SampleScores>, IfdError> {
    let store = Store::open(dir)?;
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
