//! Rises of a whole pool, kept in a store and resumed from it.

use std::path::Path;

use tamis_artifact::{PassReport, Progress, Shards, Store, StoreWriter, run_shards, to_lines};
use tamis_dataset::{Source, check_source, read_rows};

use crate::{Anchor, GoldenCandidate, GoldenScorer, GoldenScores, NuggetsError};

/// What the store is called in its manifest.
const KIND: &str = "golden-rises";
/// Version of the shard layout.
const FORMAT: u32 = 3;
/// The anchors and their scores without an example.
const ANCHORS: &str = "anchors.jsonl";

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
        let mut writer = StoreWriter::create_or_resume(dir, &provenance.manifest(KIND, FORMAT))?;
        if writer.has(ANCHORS) {
            let anchors: Vec<Anchor> = writer.read_lines(ANCHORS)?;
            self.take_zero_shot(anchors.iter().map(|anchor| anchor.zero_shot).collect());
        } else {
            writer.write(ANCHORS, &to_lines(&self.anchors()?)?)?;
        }
        let (rows, per_shard) = (pool.len(), self.params.shard_rows);
        let shards = Shards { stage: "golden scores", unit: "rows", rows, per_shard };
        let (_, report) = run_shards::<NuggetsError>(
            &shards,
            vec![writer],
            shard_name,
            progress,
            |range, _, progress| {
                let samples = read_rows(pool, range)?;
                let advance = |done| progress.advance(done as u64);
                let (candidates, report) = self.score_counted(&samples, advance)?;
                Ok((vec![to_lines(&candidates)?], report))
            },
        )?;
        Ok(report)
    }
}

/// The rises in the folder of a finished pass, in the order of the pool.
///
/// # Errors
/// No such folder, one that is not finished, or a shard that is damaged.
pub fn read_scores(dir: impl AsRef<Path>) -> Result<GoldenScores, NuggetsError> {
    let store = Store::open(dir)?;
    let anchors = store.read_lines(ANCHORS)?;
    let mut candidates: Vec<GoldenCandidate> = Vec::new();
    for number in 0..store.shards().filter(|&name| name != ANCHORS).count() {
        candidates.extend(store.read_lines(&shard_name(number))?);
    }
    GoldenScores::new(anchors, candidates)
}

fn shard_name(number: usize) -> String {
    format!("rises-{number:05}.jsonl")
}
