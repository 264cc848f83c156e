//! Embeddings of a whole data set, kept in a store and resumed from it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tamis_artifact::Progress;
use tamis_dataset::{Dataset, Encoded, Outcome};

use crate::{Embedder, Embedding, EmbeddingStore, EmbeddingsError, Shard, Skipped};

/// What a pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassReport {
    /// Samples of the data set.
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
    /// What the store of the embeddings of `dataset` is made from: one made from another model,
    /// other data or with other settings is refused.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn fields(&self, dataset: &Dataset) -> Result<Map<String, Value>, EmbeddingsError> {
        let mut fields = self.description();
        let mut insert = |name: &str, value| fields.insert(name.to_owned(), value);
        insert("model", json!(self.model.fingerprint()?));
        insert("data", json!(dataset.content_hash()));
        insert("data_format", json!(dataset.format().to_string()));
        insert("samples", json!(dataset.len()));
        Ok(fields)
    }

    /// Embeds `dataset` into `store`, one shard of [`shard_rows`](crate::EmbedParams::shard_rows)
    /// samples after the other, and finishes it. Shards that are there are not computed again; an
    /// interrupted run ends with the bytes of an undisturbed one on the same machine and number of
    /// threads. The store is one of [`Embedder::fields`].
    ///
    /// # Errors
    /// What the model, the data or the store reports.
    pub fn run(
        &self,
        dataset: &Dataset,
        store: &mut EmbeddingStore,
        progress: &mut dyn Progress,
    ) -> Result<PassReport, EmbeddingsError> {
        let (total, rows) = (dataset.len(), self.params.shard_rows);
        let range = |number: usize| number * rows..((number + 1) * rows).min(total);
        let todo: Vec<usize> = (0..total.div_ceil(rows)).filter(|&n| !store.has(n)).collect();
        let resumed = total - todo.iter().map(|&n| range(n).len()).sum::<usize>();
        let mut report = PassReport { samples: total, resumed, ..PassReport::default() };
        progress.start("embeddings", total as u64, resumed as u64);
        for number in todo {
            let encoded = self.encoder.encode_all(&dataset.read_range(range(number))?);
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
