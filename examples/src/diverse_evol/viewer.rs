//! Looking at the pool with a model: embeddings, uncertainty, and the loss on held-out rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};
use tamis::dataset::{Encoded, Encoder, Encodings};
use tamis::diverse_evol::{
    Failure, Metrics, Need, Sight, Uncertainties, Uncertainty, View, Viewer,
};
use tamis::embeddings::{Embedder, Embeddings};
use tamis::finetune::evaluate;
use tamis::model::{CausalLm, Model, NoTap};
use tamis::selection::vectors::{Vectors, VectorsError};

use super::{Candidates, Flags};
use crate::{Bars, ModelFlags};

/// Looks with models in this process.
#[derive(Debug)]
pub struct ModelViewer<'a> {
    flags: &'a Flags,
    pool: &'a Candidates<'a>,
    /// The pool's, with a limit that the model can read.
    encoder: Encoder,
    /// Held-out rows, and the hash of their file.
    held_out: Option<(&'a [Encoded], &'a str)>,
    /// What was seen last, and where it is kept: a strategy may look with one model all the time.
    last: Option<(PathBuf, Shared)>,
}

/// Embeddings that several looks share.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Embeddings>);

impl Vectors for Shared {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn width(&self) -> usize {
        self.0.columns()
    }

    fn block<'b>(
        &'b self,
        first: usize,
        count: usize,
        scratch: &'b mut Vec<f32>,
    ) -> Result<&'b [f32], VectorsError> {
        Ok(self.0.block(first, count, scratch))
    }
}

impl<'a> ModelViewer<'a> {
    /// Puts settings and rows together, and checks them against the base model; `held_out` rows come
    /// with the hash of their file. No row of the pool may be longer than the model reads.
    ///
    /// # Errors
    /// Settings outside their range.
    pub fn new(
        flags: &'a Flags,
        pool: &'a Candidates<'a>,
        held_out: Option<(&'a [Encoded], &'a str)>,
        base: &dyn CausalLm,
    ) -> Result<Self> {
        // No row is longer than the lower limit, so the tokens are the same.
        let mut text = flags.text.clone();
        text.max_length = text.max_length.min(base.shape().max_positions);
        let encoder = text.encoder(&flags.model)?;
        // Now, not after hours of training.
        if flags.strategy.need() == Some(Need::Embeddings) {
            Embedder::new(base, &encoder, &flags.embedding())?;
        }
        flags.uncertainty().check()?;
        Ok(Self { flags, pool, encoder, held_out, last: None })
    }

    fn load(&self, folder: &Path) -> Result<Model> {
        ModelFlags { model: folder.to_owned(), ..self.flags.model.clone() }.load()
    }

    fn embeddings(&mut self, sight: &Sight<'_>) -> Result<Shared> {
        if let Some((_, seen)) = self.last.as_ref().filter(|(place, _)| place == sight.place) {
            return Ok(seen.clone());
        }
        let (model, params) = (self.load(sight.model)?, self.flags.embedding());
        let embedder = Embedder::new(&model, &self.encoder, &params)?;
        embedder.run(&self.pool.rows, sight.place, &mut Bars::default())?;
        let seen = Embeddings::open(sight.place)?;
        self.check(&seen)?;
        let seen = Shared(Arc::new(seen));
        self.last = Some((sight.place.to_owned(), seen.clone()));
        Ok(seen)
    }

    /// Every candidate must have its row, in its place.
    fn check(&self, seen: &Embeddings) -> Result<()> {
        let found = seen.ids().unwrap_or_default();
        let other = (0..self.pool.ids.len())
            .find(|&n| found.get(n).map(String::as_str) != Some(self.pool.ids[n].as_ref()));
        if let Some(id) = other.map(|n| &self.pool.ids[n]) {
            bail!(
                "row {id} has no embedding: the model's hidden states of it are not finite; leave the \
                 row out, or lower --lr"
            );
        }
        ensure!(found.len() == self.pool.ids.len(), "more embeddings than rows");
        Ok(())
    }

    fn uncertainty(&self, sight: &Sight<'_>, kind: Uncertainty) -> Result<Vec<f64>> {
        let (model, pass) = (self.load(sight.model)?, self.flags.uncertainty().check()?);
        let (rows, bars) = (self.pool.encodings(), &mut Bars::default());
        let all: Vec<Uncertainties> = pass.run(&model, &rows, sight.place, bars)?;
        Ok(all.iter().map(|values| values.of(kind)).collect())
    }

    fn held_out_loss(&self, sight: &Sight<'_>) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        if let Some((rows, _)) = self.held_out {
            let model = self.load(sight.model)?;
            let found =
                evaluate(&model, &Encodings::of(rows), self.flags.token_budget, &mut NoTap)?;
            metrics.insert("held_out_loss".to_owned(), found.loss);
        }
        Ok(metrics)
    }
}

impl Viewer for ModelViewer<'_> {
    type Rows = Shared;

    fn description(&self) -> Value {
        json!({
            "encoder": self.pool.encoder.description(),
            "dtype": self.flags.model.dtype.to_string(),
            "token_budget": self.flags.token_budget,
            "shard_rows": self.flags.shard_rows,
            "held_out": self.held_out.map(|(_, hash)| hash),
        })
    }

    fn view(&mut self, sight: &Sight<'_>, need: Need) -> Result<View<Shared>, Failure> {
        let seen = match need {
            Need::Embeddings => self.embeddings(sight).map(View::Embeddings),
            Need::Uncertainty(kind) => self.uncertainty(sight, kind).map(View::Uncertainty),
        };
        seen.map_err(|error| format!("{error:#}").into())
    }

    fn measure(&mut self, sight: &Sight<'_>) -> Result<Metrics, Failure> {
        self.held_out_loss(sight).map_err(|error| format!("{error:#}").into())
    }
}
