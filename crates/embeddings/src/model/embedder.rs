//! Embeddings of samples in memory.

use serde_json::json;
use tamis_artifact::{Fingerprint, ParameterError, Provenance};
use tamis_dataset::{Encoded, Encoder, Outcome, Reason, Sample, SampleId, plan_batches};
use tamis_model::{Batch, CausalLm, mean_pooled_hidden};
use tch::{Device, Kind};

use crate::{EmbedParams, EmbeddingsError};

/// The embedding of a sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding {
    /// Id of the sample.
    pub id: SampleId,
    /// Its 0-based row in the data.
    pub index: usize,
    /// As many numbers as the model's hidden states are wide.
    pub values: Vec<f32>,
}

/// Embeds samples with a model: the mean of its hidden states after the final norm, over the tokens
/// that [`EmbedParams::pool`] says.
///
/// An embedding does not depend on the batch other than by rounding.
#[derive(Clone, Copy)]
pub struct Embedder<'a> {
    pub(crate) model: &'a dyn CausalLm,
    pub(crate) encoder: &'a Encoder,
    pub(crate) params: &'a EmbedParams,
}

impl std::fmt::Debug for Embedder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("params", &self.params).finish_non_exhaustive()
    }
}

impl<'a> Embedder<'a> {
    /// Puts a model, what makes its tokens, and the settings together.
    ///
    /// # Errors
    /// A size of zero, a length limit beyond what the model reads, or a tokenizer with ids that the
    /// model does not embed.
    pub fn new(
        model: &'a dyn CausalLm,
        encoder: &'a Encoder,
        params: &'a EmbedParams,
    ) -> Result<Self, EmbeddingsError> {
        params.clone().check()?;
        let shape = model.shape();
        let (longest, highest) = (encoder.options().max_length, encoder.tokenizer().max_id());
        if longest > shape.max_positions {
            let expected = format!("at most {}, what the model reads", shape.max_positions);
            return Err(ParameterError::new("max_length", longest, expected).into());
        }
        if highest as usize >= shape.vocab_size {
            let expected = format!("below {}, the rows of the model's embedding", shape.vocab_size);
            return Err(ParameterError::new("the tokenizer's highest id", highest, expected).into());
        }
        Ok(Self { model, encoder, params })
    }

    /// Numbers in an embedding.
    pub fn columns(&self) -> usize {
        self.model.shape().hidden_size
    }

    /// Everything but the rows that decides an embedding.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn provenance(&self) -> Result<Provenance, EmbeddingsError> {
        let shape = self.model.shape();
        let settings = json!({
            "pool": self.params.pool,
            "token_budget": self.params.token_budget,
            "shard_rows": self.params.shard_rows,
            "columns": shape.hidden_size,
            "compute_type": format!("{:?}", shape.kind),
        });
        let provenance = Provenance::new()
            .encoder(Fingerprint::from(self.encoder.description()))
            .model(self.model.fingerprint()?);
        Ok(provenance.settings(&settings)?)
    }

    /// The embedding of every sample, in their order, or why it has none.
    ///
    /// # Errors
    /// What the model reports.
    pub fn embed(&self, samples: &[Sample]) -> Result<Vec<Outcome<Embedding>>, EmbeddingsError> {
        let encoded = self.encoder.encode_all(samples);
        self.embed_encoded(&encoded, |_| {})
    }

    /// The same of tokens; `done` is told the tokens of every finished batch.
    pub(crate) fn embed_encoded(
        &self,
        encoded: &[Outcome<Encoded>],
        mut done: impl FnMut(usize),
    ) -> Result<Vec<Outcome<Embedding>>, EmbeddingsError> {
        let usable: Vec<(usize, &Encoded)> = encoded
            .iter()
            .enumerate()
            .filter_map(|(place, outcome)| outcome.as_scored().map(|sample| (place, sample)))
            .collect();
        let lengths: Vec<usize> = usable.iter().map(|(_, sample)| sample.len()).collect();
        let mut rows: Vec<Option<Vec<f32>>> = vec![None; encoded.len()];
        for members in plan_batches(&lengths, self.params.token_budget)? {
            let batch: Vec<&Encoded> = members.iter().map(|&member| usable[member].1).collect();
            for (&member, row) in members.iter().zip(self.batch(&batch)?) {
                rows[usable[member].0] = Some(row);
            }
            done(batch.iter().map(|sample| sample.len()).sum());
        }
        let outcomes = encoded.iter().zip(rows).map(|(outcome, row)| {
            let (id, index, reason) = match outcome {
                // Every sample with tokens is in a batch: what has no finite row has others.
                Outcome::Scored(sample) => (&sample.id, sample.index, Reason::NonFinite),
                Outcome::Unscorable { id, index, reason } => (id, *index, reason.clone()),
            };
            let id = id.clone();
            match row.filter(|values| values.iter().all(|x| x.is_finite())) {
                Some(values) => Outcome::Scored(Embedding { id, index, values }),
                None => Outcome::Unscorable { id, index, reason },
            }
        });
        Ok(outcomes.collect())
    }

    /// One forward pass.
    fn batch(&self, samples: &[&Encoded]) -> Result<Vec<Vec<f32>>, EmbeddingsError> {
        let _no_grad = tch::no_grad_guard();
        let batch = Batch::new(samples, self.model.shape().device)?;
        let pooled = mean_pooled_hidden(self.model, &batch, self.params.pool)?;
        let flat = pooled.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?.f_flatten(0, -1)?;
        let flat = Vec::<f32>::try_from(flat)?;
        Ok(flat.chunks(self.columns()).map(<[f32]>::to_vec).collect())
    }
}
