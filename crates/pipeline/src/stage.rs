//! A stage: a scorer run over rows, kept in a folder and resumed from it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value, json};
use tamis_artifact::{ArtifactError, Manifest, ParameterError, Progress, Store};

use crate::{PipelineError, Rows, Score, Scored, Scorer, Scores};

/// What a stage is called in its manifest.
const KIND: &str = "scores";
/// Version of the shard layout.
const FORMAT: u32 = 1;

/// A folder of scores, filled by any [`Scorer`].
#[derive(Clone, Debug)]
pub struct ScoreStage {
    dir: PathBuf,
    shard_rows: usize,
    further: Map<String, Value>,
}

impl ScoreStage {
    /// A stage in the folder `dir`, with shards of 512 rows.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        Self { dir: dir.as_ref().to_owned(), shard_rows: 512, further: Map::new() }
    }

    /// Rows that are scored together, written together, and redone after an interruption; at least 1.
    #[must_use]
    pub fn shard_rows(self, shard_rows: usize) -> Self {
        Self { shard_rows, ..self }
    }

    /// Something else that decides the numbers and that the scorer does not know of, such as the hash of a model's
    /// configuration.
    ///
    /// # Errors
    /// A value that has no JSON form.
    pub fn with(mut self, field: &str, value: impl Serialize) -> Result<Self, PipelineError> {
        let value = serde_json::to_value(value)
            .map_err(|source| ArtifactError::BadField { field: field.to_owned(), source })?;
        self.further.insert(field.to_owned(), value);
        Ok(self)
    }

    /// Scores `rows`, shard by shard. What an earlier run has scored is not scored again.
    ///
    /// # Errors
    /// A folder made by another scorer, with other settings or from other rows, naming the field; what the scorer, the data
    /// or the disk reports.
    pub fn run(
        &self,
        scorer: &dyn Scorer,
        rows: &Rows<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Scores, PipelineError> {
        ParameterError::at_least("shard_rows", self.shard_rows, 1)?;
        let mut store = Store::create_or_resume(&self.dir, &self.manifest(scorer, rows)?)?;
        let shards = rows.len().div_ceil(self.shard_rows);
        let places = |n: usize| n * self.shard_rows..((n + 1) * self.shard_rows).min(rows.len());
        let todo: Vec<usize> = (0..shards).filter(|&n| !store.has(&shard_name(n))).collect();
        let resumed = rows.len() - todo.iter().map(|&n| places(n).len()).sum::<usize>();
        progress.start(scorer.name(), rows.len() as u64, resumed as u64);
        for number in todo {
            let scored = score(scorer, rows, places(number))?;
            progress.advance(scored.len() as u64);
            let name = shard_name(number);
            store.write(&name, &to_bytes(&scored, &name)?)?;
        }
        store.finish()?;
        progress.finish();
        let mut all = Vec::with_capacity(rows.len());
        for number in 0..shards {
            let name = shard_name(number);
            for line in store.read(&name)?.split(|&byte| byte == b'\n').filter(|l| !l.is_empty()) {
                all.push(serde_json::from_slice(line).map_err(|error| shard(&name, &error))?);
            }
        }
        Ok(Scores { name: scorer.name().to_owned(), rows: all, resumed })
    }

    fn manifest(&self, scorer: &dyn Scorer, rows: &Rows<'_>) -> Result<Manifest, PipelineError> {
        let own = scorer.description().map_err(|source| failed(scorer, source))?;
        let mut fields = rows.description();
        fields.extend(self.further.clone());
        fields.insert("scorer".to_owned(), json!(scorer.name()));
        fields.insert("description".to_owned(), Value::Object(own));
        fields.insert("shard_rows".to_owned(), json!(self.shard_rows));
        Ok(Manifest { kind: KIND.to_owned(), format: FORMAT, fields })
    }
}

/// One shard of scores, checked.
fn score(
    scorer: &dyn Scorer,
    rows: &Rows<'_>,
    places: std::ops::Range<usize>,
) -> Result<Vec<Scored>, PipelineError> {
    let samples = rows.read(places)?;
    let scores = scorer.score(&samples).map_err(|source| failed(scorer, source))?;
    if scores.len() != samples.len() {
        let (found, expected) = (scores.len(), samples.len());
        return Err(PipelineError::Count { scorer: scorer.name().to_owned(), found, expected });
    }
    let scored = samples.into_iter().zip(scores).map(|(sample, score)| Scored {
        id: sample.id,
        index: sample.index,
        score: match score {
            Score::Value(value) if !value.is_finite() => {
                Score::Missing(format!("the score is {value}"))
            }
            score => score,
        },
    });
    Ok(scored.collect())
}

fn failed(scorer: &dyn Scorer, source: crate::BoxError) -> PipelineError {
    PipelineError::Scorer { scorer: scorer.name().to_owned(), source }
}

fn to_bytes(rows: &[Scored], name: &str) -> Result<Vec<u8>, PipelineError> {
    let mut bytes = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut bytes, row).map_err(|error| shard(name, &error))?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

fn shard(name: &str, error: &serde_json::Error) -> PipelineError {
    PipelineError::Shard { shard: name.to_owned(), reason: error.to_string() }
}

fn shard_name(number: usize) -> String {
    format!("scores-{number:05}.jsonl")
}
