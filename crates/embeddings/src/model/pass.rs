//! Embeddings of all rows of a source, kept in a store and resumed from it.

use std::path::Path;

use serde_json::{Value, json};
use tamis_artifact::{PassReport, Progress, RowShare, Shards, run_shards};
use tamis_dataset::{Encoded, Outcome, Source, check_source, read_rows};

use crate::artefact::shard_name;
use crate::{Embedder, Embedding, EmbeddingStore, EmbeddingsError, NoEmbedding, Shard};

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
        let writer = EmbeddingStore::create_or_resume(&dir, &provenance)?.into_writer();
        let (rows, per_shard) = (source.len(), self.params.shard_rows);
        let shards = Shards { stage: "embeddings", unit: "rows", rows, per_shard };
        let (_, report) = run_shards::<EmbeddingsError>(
            &shards,
            vec![writer],
            shard_name,
            progress,
            |range, _, progress| {
                let name = shard_name(range.start / per_shard);
                let encoded = self.encoder.encode_all(&read_rows(source, range)?);
                let usable = encoded.iter().filter_map(Outcome::as_scored);
                let tokens: usize = usable.clone().map(Encoded::len).sum();
                // Batches go by length, so rows are told by their share of the tokens.
                let mut told = RowShare::new(progress, encoded.len(), tokens);
                let texts = usable.count();
                let shard = self.shard(self.embed_encoded(&encoded, |batch| told.done(batch))?);
                told.finish();
                let skipped = shard.skipped.len();
                let report = PassReport { skipped, texts, tokens, ..PassReport::default() };
                Ok((vec![shard.to_bytes(&dir.as_ref().join(name))?], report))
            },
        )?;
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
                    shard.skipped.push(NoEmbedding { id: id.to_string(), index, reason });
                }
            }
        }
        shard
    }
}
