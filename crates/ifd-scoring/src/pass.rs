//! Scores of all rows of a source, kept in a store and resumed from it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tamis_artifact::{PassReport, Progress, Shards, Store, StoreWriter, run_shards, to_lines};
use tamis_dataset::{SampleId, Source, check_source, read_rows};

use crate::{IfdError, IfdScorer, Ratio, SampleScores, Terms};

/// What the store is called in its manifest.
const KIND: &str = "ifd-terms";
/// Version of the shard layout.
const FORMAT: u32 = 3;

/// A line of a shard: everything but the form of the ratio, which can be chosen afterwards.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: SampleId,
    index: usize,
    answer: Terms,
    instruction: Terms,
}

impl IfdScorer<'_> {
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
        let writer = StoreWriter::create_or_resume(dir, &provenance.manifest(KIND, FORMAT))?;
        let (rows, per_shard) = (source.len(), self.params.shard_rows);
        let shards = Shards { stage: "scores", unit: "rows", rows, per_shard };
        let (_, report) = run_shards::<IfdError>(
            &shards,
            vec![writer],
            shard_name,
            progress,
            |range, _, progress| {
                let samples = read_rows(source, range)?;
                let (scores, report) = self.watched(&samples, progress)?;
                let lines: Vec<Line> = scores.into_iter().map(Line::from).collect();
                Ok((vec![to_lines(&lines)?], report))
            },
        )?;
        Ok(report)
    }
}

/// The scores in the folder of a finished pass, in the order of the source.
///
/// # Errors
/// No such folder, one that is not finished, or a shard that is damaged.
pub fn read_scores(dir: impl AsRef<Path>, ratio: Ratio) -> Result<Vec<SampleScores>, IfdError> {
    let store = Store::open(dir)?;
    let mut scores = Vec::new();
    for number in 0..store.shards().len() {
        let lines = store.read_lines(&shard_name(number))?;
        scores.extend(lines.into_iter().map(|Line { id, index, answer, instruction }| {
            SampleScores { id, index, answer, instruction, ratio }
        }));
    }
    Ok(scores)
}

impl From<SampleScores> for Line {
    fn from(SampleScores { id, index, answer, instruction, .. }: SampleScores) -> Self {
        Self { id, index, answer, instruction }
    }
}

fn shard_name(number: usize) -> String {
    format!("terms-{number:05}.jsonl")
}
