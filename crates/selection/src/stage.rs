//! A stage: a scorer run over rows, kept in a folder and resumed from it.

use std::path::{Path, PathBuf};

use tamis_artifact::{
    Manifest, ParameterError, PassReport, Progress, Provenance, Shards, StoreWriter, run_shards,
    to_lines,
};
use tamis_dataset::{Reason, Sample, Source, check_source, read_rows};

use crate::{Score, ScoredRow, Scorer, Scores, SelectionError};

/// What a stage is called in its manifest.
const KIND: &str = "scores";
/// Version of the shard layout.
const FORMAT: u32 = 2;

/// A folder of scores, filled by any [`Scorer`].
#[derive(Clone, Debug)]
pub struct ScoreStage {
    dir: PathBuf,
    shard_rows: usize,
}

impl ScoreStage {
    /// A stage in the folder `dir`, with shards of 512 rows.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned(), shard_rows: 512 }
    }

    /// Rows that are scored together, written together, and redone after an interruption; at least 1.
    #[must_use]
    pub fn shard_rows(self, shard_rows: usize) -> Self {
        Self { shard_rows, ..self }
    }

    /// Scores the rows of `source`, shard by shard. What an earlier run has scored is not scored again.
    ///
    /// # Errors
    /// A folder made by another scorer, with other settings or from other rows, naming the field; rows that share an id;
    /// what the scorer, the source or the disk reports.
    pub fn run(
        &self,
        scorer: &dyn Scorer,
        source: &dyn Source,
        progress: &mut dyn Progress,
    ) -> Result<Scores, SelectionError> {
        ParameterError::at_least("shard_rows", self.shard_rows, 1)?;
        check_source(source)?;
        let columns = columns(scorer)?;
        let name = columns.join(", ");
        let manifest = self.manifest(scorer, &columns, source)?;
        let writer = StoreWriter::create_or_resume(&self.dir, &manifest)?;
        let (rows, per_shard) = (source.len(), self.shard_rows);
        let shards = Shards { stage: &name, unit: "rows", rows, per_shard };
        let (stores, report) = run_shards::<SelectionError>(
            &shards,
            vec![writer],
            shard_name,
            progress,
            |range, _, progress| {
                let scored = score(scorer, columns.len(), read_rows(source, range)?, &name)?;
                progress.advance(scored.len() as u64);
                Ok((vec![to_lines(&scored)?], PassReport::default()))
            },
        )?;
        let mut rows = Vec::with_capacity(source.len());
        for store in &stores {
            for number in 0..shards.count() {
                rows.extend(store.read_lines::<ScoredRow>(&shard_name(number))?);
            }
        }
        Ok(Scores { columns, rows, resumed: report.resumed })
    }

    fn manifest(
        &self,
        scorer: &dyn Scorer,
        columns: &[String],
        source: &dyn Source,
    ) -> Result<Manifest, SelectionError> {
        let own = scorer.fingerprint().map_err(|source| failed(&columns.join(", "), source))?;
        let settings = serde_json::json!({ "columns": columns, "shard_rows": self.shard_rows });
        let provenance = Provenance::new()
            .source(source.fingerprint()?)
            .settings(&settings)?
            .made_from("scorer", own);
        Ok(provenance.manifest(KIND, FORMAT))
    }
}

/// The names of the scores, checked.
fn columns(scorer: &dyn Scorer) -> Result<Vec<String>, SelectionError> {
    let columns = scorer.columns();
    let twice = |n: usize| columns[..n].contains(&columns[n]);
    if columns.is_empty() || (0..columns.len()).any(twice) {
        let expected = "at least one, no two alike";
        return Err(ParameterError::new("columns of a scorer", columns.join(", "), expected).into());
    }
    Ok(columns)
}

/// One shard of scores, checked.
fn score(
    scorer: &dyn Scorer,
    columns: usize,
    samples: Vec<Sample>,
    name: &str,
) -> Result<Vec<ScoredRow>, SelectionError> {
    let rows = scorer.score(&samples).map_err(|source| failed(name, source))?;
    let count = |found, expected| {
        let scorer = name.to_owned();
        if found == expected {
            Ok(())
        } else {
            Err(SelectionError::Count { scorer, found, expected })
        }
    };
    count(rows.len(), samples.len())?;
    let mut scored = Vec::with_capacity(rows.len());
    for (sample, row) in samples.into_iter().zip(rows) {
        count(row.len(), columns)?;
        let finite = |score| match score {
            Score::Value(value) if !value.is_finite() => Score::Missing(Reason::NonFinite),
            score => score,
        };
        let scores = row.into_iter().map(finite).collect();
        scored.push(ScoredRow { id: sample.id, index: sample.index, scores });
    }
    Ok(scored)
}

fn failed(scorer: &str, source: crate::BoxError) -> SelectionError {
    SelectionError::Scorer { scorer: scorer.to_owned(), source }
}

fn shard_name(number: usize) -> String {
    format!("scores-{number:05}.jsonl")
}
