//! Fitting: a forward and an activation-backward over a pool, covariances summed up on the way.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tamis_artifact::Progress;
use tamis_dataset::{Encoded, Outcome, plan_batches};
use tamis_gradients::{Labels, Reduction, Samples, trace_batch};
use tamis_model::{Batch, CausalLm, LayerInfo};
use tch::{Kind, Tensor};

use crate::factors::{Factors, Tokens};
use crate::{FactorStore, KfacError};

/// How curvature is fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FitParams {
    /// Labels the losses are taken against: the model's own draws give the true Fisher.
    pub labels: Labels,
    /// Whether every token is a draw, or every sample.
    pub tokens: Tokens,
    /// Padded tokens of one batch, at most.
    pub token_budget: usize,
    /// Samples of one part: what is stored together, and redone if the fit is interrupted.
    pub part_samples: usize,
}

impl Default for FitParams {
    fn default() -> Self {
        Self {
            labels: Labels::Sampled { seed: 0 },
            tokens: Tokens::default(),
            token_budget: 2048,
            part_samples: 8192,
        }
    }
}

/// Fits the Kronecker factors of `layers` over a pool.
#[derive(Clone, Copy)]
pub struct FactorFit<'a> {
    /// The model; its weights stay frozen.
    pub model: &'a dyn CausalLm,
    /// The layers whose curvature is fitted.
    pub layers: &'a [LayerInfo],
    /// How.
    pub params: FitParams,
}

impl std::fmt::Debug for FactorFit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactorFit")
            .field("layers", &self.layers.len())
            .field("params", &self.params)
            .finish_non_exhaustive()
    }
}

impl FactorFit<'_> {
    /// The manifest fields that decide the factors, but for the fingerprints of model and data.
    pub fn manifest_fields(&self) -> Map<String, Value> {
        let layers: Vec<&str> = self.layers.iter().map(|l| l.name.as_str()).collect();
        let mut fields = Map::new();
        fields.insert("layers".to_owned(), json!(layers));
        fields.insert("fit".to_owned(), json!(self.params));
        fields
    }

    /// Sums covariances over samples held in memory.
    ///
    /// The loss of a sample is the *sum* over its supervised tokens, so that `g` is a token's own
    /// gradient whatever the length of its text.
    ///
    /// # Errors
    /// The head among the layers, non-finite activations or gradients (layer and batch are named),
    /// or what the model reports.
    pub fn sum(
        &self,
        samples: &[Encoded],
        progress: &mut dyn Progress,
    ) -> Result<Factors, KfacError> {
        if let Some(head) = self.layers.iter().find(|layer| layer.head) {
            return Err(KfacError::Head { layer: head.name.clone() });
        }
        let shape = self.model.shape();
        let mut factors = Factors::zeros(self.layers, shape.kind, shape.device)?;
        let lengths: Vec<usize> = samples.iter().map(|s| s.ids.len()).collect();
        for members in plan_batches(&lengths, self.params.token_budget)? {
            let members: Vec<&Encoded> = members.iter().map(|&m| &samples[m]).collect();
            let batch = Batch::new(&members, shape.device)?;
            let ids: Vec<&str> = members.iter().map(|s| s.id.as_ref()).collect();
            let trace = trace_batch(
                self.model,
                &batch,
                &ids,
                self.layers,
                Reduction::Sum,
                self.params.labels,
            )?;
            let _no_grad = tch::no_grad_guard();
            factors.add(&trace.layers, &real_tokens(&batch)?, self.params.tokens, &ids)?;
            progress.advance(members.len() as u64);
        }
        Ok(factors)
    }

    /// Fits over a pool, part by part, into `store`; parts that are there already are not computed
    /// again. Samples that cannot be used are left out.
    ///
    /// # Errors
    /// As [`FactorFit::sum`], what the data or the store reports, or a pool of which nothing can be
    /// used.
    pub fn run(
        &self,
        samples: &dyn Samples,
        store: &mut FactorStore,
        progress: &mut dyn Progress,
    ) -> Result<Factors, KfacError> {
        let total = samples.len();
        let size = self.params.part_samples.max(1);
        let parts = total.div_ceil(size);
        let done: usize =
            (0..parts).filter(|&n| store.has(n)).map(|n| (total - n * size).min(size)).sum();
        progress.start("curvature", total as u64, done as u64);
        for part in (0..parts).filter(|&n| !store.has(n)).collect::<Vec<_>>() {
            let range = part * size..((part + 1) * size).min(total);
            let wanted = range.len();
            let usable: Vec<Encoded> = samples
                .read(range)?
                .into_iter()
                .filter_map(|outcome| match outcome {
                    Outcome::Scored(sample) => Some(sample),
                    Outcome::Unscorable { .. } => None,
                })
                .collect();
            progress.advance((wanted - usable.len()) as u64);
            let sums = self.sum(&usable, progress)?;
            store.write(part, &sums)?;
        }
        store.finish()?;
        progress.finish();
        let shape = self.model.shape();
        let factors = store.merged(self.layers, shape.kind, shape.device)?;
        if factors.count() == 0.0 {
            return Err(KfacError::NoTokens { samples: total });
        }
        Ok(factors)
    }
}

/// (batch, time): 1 at real tokens, 0 at padding.
fn real_tokens(batch: &Batch) -> Result<Tensor, KfacError> {
    let (_, time) = batch.ids.size2()?;
    let device = batch.ids.device();
    let lengths: Vec<i64> = batch.lengths.iter().map(|&n| n as i64).collect();
    let lengths = Tensor::f_from_slice(&lengths)?.f_to_device(device)?.f_unsqueeze(1)?;
    let at = Tensor::f_arange(time, (Kind::Int64, device))?.f_unsqueeze(0)?;
    Ok(at.f_lt_tensor(&lengths)?.f_to_kind(Kind::Float)?)
}
