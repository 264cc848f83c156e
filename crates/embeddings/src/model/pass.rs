//! Embeddings of all rows of a source, kept in a store and resumed from it.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tamis_artifact::Progress;
use tamis_dataset::{Encoded, Outcome, Source, check_source, read_rows};

use crate::{Embedder, Embedding, EmbeddingStore, EmbeddingsError, Shard, Skipped};

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// Rows of the source.
    pub samples: usize,
    /// Samples whose shard an earlier run had written.
    pub resumed: usize,
    /// Samples embedded in this run.
    pub embedded: usize,
    /// Samples that could not be, in this run.
    pub skipped: usize,
    /// Tokens read in this run, padding left out.
    pub tokens: usize,
}

impl Embedder<'_> {
    /// Embeds the rows of `source` into the folder `dir`, one shard of [`shard_rows`](crate::EmbedParams::shard_rows) rows
    /// after the other. Shards that are there are not computed again; an interrupted run ends with the bytes of an
    /// undisturbed one on the same machine and number of threads. [`Embeddings::open`](crate::Embeddings::open) reads it.
    ///
    /// # Errors
    /// A folder made with another model or tokenizer, with other settings or from other rows, naming the field; rows that
    /// share an id; what the model, the source or the disk reports.
    pub fn run(
        &self,
        source: &dyn Source,
        dir: impl AsRef<Path>,
        progress: &mut dyn Progress,
    ) -> Result<PassReport, EmbeddingsError> {
        check_source(source)?;
        let provenance = self.provenance()?.source(source.fingerprint()?);
        let mut store = EmbeddingStore::create_or_resume(dir, &provenance)?;
        let (total, rows) = (source.len(), self.params.shard_rows);
        let range = |number: usize| number * rows..((number + 1) * rows).min(total);
        let todo: Vec<usize> = (0..total.div_ceil(rows)).filter(|&n| !store.has(n)).collect();
        let resumed = total - todo.iter().map(|&n| range(n).len()).sum::<usize>();
        let mut report = PassReport { samples: total, resumed, ..PassReport::default() };
        progress.start("embeddings", total as u64, resumed as u64);
        for number in todo {
            let encoded = self.encoder.encode_all(&read_rows(source, range(number))?);
            let all: usize = encoded.iter().filter_map(Outcome::as_scored).map(Encoded::len).sum();
            // Batches go by length; samples are told off by their share of the tokens.
            let (mut told, mut tokens) = (0, 0);
            let outcomes = self.embed_encoded(&encoded, |batch| {
                tokens += batch;
                let share = encoded.len() * tokens / all.max(1);
                progress.advance((share - told) as u64);
                told = share;
            })?;
            progress.advance((encoded.len() - told) as u64);
            let shard = self.shard(outcomes);
            report.tokens += tokens;
            report.embedded += shard.ids.len();
            report.skipped += shard.skipped.len();
            store.write(number, &shard)?;
        }
        store.finish()?;
        progress.finish();
        Ok(report)
    }

    fn shard(&self, outcomes: Vec<Outcome<Embedding>>) -> Shard {
        let mut shard = Shard { columns: self.columns(), ..Shard::default() };
        for outcome in outcomes {
            match outcome {
                Outcome::Scored(Embedding { id, index, values }) => {
                    shard.ids.push(id.to_string());
                    shard.indices.push(index);
                    shard.rows.extend(values);
                }
                Outcome::Unscorable { id, index, reason } => {
                    // One word, unless the reason has words of its own.
                    let reason = match json!(reason) {
                        Value::String(word) => word,
                        _ => reason.to_string(),
                    };
                    shard.skipped.push(Skipped { id: id.to_string(), index, reason });
                }
            }
        }
        shard
    }
}
