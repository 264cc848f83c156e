//! The one resumable loop: work cut into shards, each written as soon as it is done.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{ArtifactError, Progress, Stage, Store, StoreWriter};

/// Rows cut into shards: what is computed together, written together, and computed again if the run is interrupted.
///
/// ```
/// use tamis_artifact::{NoProgress, PassReport, Provenance, Shards, StoreWriter, run_shards};
///
/// # let folder = tempfile::tempdir().unwrap();
/// let numbers = [3u8, 1, 4, 1, 5];
/// let writer = StoreWriter::create_or_resume(
///     folder.path().join("squares"),
///     &Provenance::new().settings(&numbers)?.manifest("squares", 1),
/// )?;
/// let shards = Shards { stage: "squares", unit: "numbers", rows: numbers.len(), per_shard: 2 };
/// let (stores, report) = run_shards::<tamis_artifact::ArtifactError>(
///     &shards,
///     vec![writer],
///     |number| format!("part-{number:05}"),
///     &mut NoProgress,
///     |rows, _, progress| {
///         progress.advance(rows.len() as u64);
///         Ok((vec![numbers[rows].iter().map(|n| n * n).collect()], PassReport::default()))
///     },
/// )?;
/// assert_eq!(stores[0].read("part-00001")?, [16, 1]);
/// assert_eq!(report.resumed, 0);
/// # Ok::<(), tamis_artifact::ArtifactError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards<'a> {
    /// Name of the stage, for whoever watches.
    pub stage: &'a str,
    /// What its rows are called, in the plural.
    pub unit: &'a str,
    /// How many rows there are.
    pub rows: usize,
    /// Rows of a shard, at least 1; the last one may have fewer.
    pub per_shard: usize,
}

impl Shards<'_> {
    /// How many shards there are.
    pub fn count(&self) -> usize {
        self.rows.div_ceil(self.per_shard.max(1))
    }

    /// The rows of shard `number`.
    pub fn range(&self, number: usize) -> Range<usize> {
        let first = number * self.per_shard.max(1);
        first..(first + self.per_shard.max(1)).min(self.rows)
    }
}

/// What a pass over rows did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// Rows of the source.
    pub rows: usize,
    /// Rows whose shard an earlier run had written.
    pub resumed: usize,
    /// Rows without a result, of those computed now.
    pub skipped: usize,
    /// Texts run through the model now; a row can need several.
    pub texts: usize,
    /// Tokens run through the model now, without padding.
    pub tokens: usize,
    /// Tokens whose probability was taken, where the stage takes any.
    pub targets: usize,
}

impl PassReport {
    /// Adds what was done for a shard.
    pub fn add(&mut self, shard: &Self) {
        self.skipped += shard.skipped;
        self.texts += shard.texts;
        self.tokens += shard.tokens;
        self.targets += shard.targets;
    }
}

/// Computes the shards that some writer lacks, in order, and finishes the writers.
///
/// `name` names a shard's file. `compute` is given the rows of a shard and the places of the writers that lack it, and
/// returns one file for each of these places, and what it did; it advances `progress` by the rows it has done. Rows that no
/// writer lacks are not computed.
///
/// # Errors
/// What `compute` reports, or a shard that cannot be written. The shards before it are kept.
pub fn run_shards<E: From<ArtifactError>>(
    shards: &Shards<'_>,
    mut writers: Vec<StoreWriter>,
    name: impl Fn(usize) -> String,
    progress: &mut dyn Progress,
    mut compute: impl FnMut(
        Range<usize>,
        &[usize],
        &mut dyn Progress,
    ) -> Result<(Vec<Vec<u8>>, PassReport), E>,
) -> Result<(Vec<Store>, PassReport), E> {
    let lacking = |writers: &[StoreWriter], number: usize| -> Vec<usize> {
        let name = name(number);
        (0..writers.len()).filter(|&place| !writers[place].has(&name)).collect()
    };
    let todo: Vec<usize> =
        (0..shards.count()).filter(|&number| !lacking(&writers, number).is_empty()).collect();
    let left: usize = todo.iter().map(|&number| shards.range(number).len()).sum();
    let mut report = PassReport { rows: shards.rows, ..PassReport::default() };
    report.resumed = shards.rows - left;
    progress.start(&Stage::new(shards.stage, shards.unit, shards.rows).resumed(report.resumed));
    for number in todo {
        let places = lacking(&writers, number);
        let (files, of_shard) = compute(shards.range(number), &places, progress)?;
        if files.len() != places.len() {
            return Err(E::from(ArtifactError::Files {
                stage: shards.stage.to_owned(),
                found: files.len(),
                expected: places.len(),
            }));
        }
        report.add(&of_shard);
        for (place, file) in places.into_iter().zip(files) {
            writers[place].write(&name(number), &file)?;
        }
    }
    let stores = writers.into_iter().map(StoreWriter::finish).collect::<Result<_, _>>()?;
    progress.finish();
    Ok((stores, report))
}
