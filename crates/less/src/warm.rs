//! A checkpoint of the warm-up, ready to make features with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tamis_artifact::Fingerprint;
use tamis_finetune::{Adapted, Lora, SavedCheckpoint};
use tamis_gradients::FlatSpec;
use tamis_model::{CausalLm, LayerInfo};

use crate::direction::Step;
use crate::{Direction, LessError, LoraFeatures};

/// What features are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeatureParams {
    /// What of a candidate's gradient becomes its features. Targets are always compared by their plain
    /// gradients. Default that of the paper.
    pub direction: Direction,
    /// How the numbers of a gradient become few. Default `sparse:8192`.
    pub projection: FlatSpec,
    /// Decides the projection. Default 0.
    pub seed: u64,
}

impl Default for FeatureParams {
    fn default() -> Self {
        let projection = FlatSpec::Sparse { dim: 8192 };
        Self { direction: Direction::default(), projection, seed: 0 }
    }
}

/// What one epoch of the warm-up left: the adapter, Adam's moments, and how much the epoch counts.
#[derive(Debug)]
pub struct WarmCheckpoint {
    saved: SavedCheckpoint,
    lora: Lora,
    rate: f64,
}

impl WarmCheckpoint {
    /// Reads a checkpoint that `tamis-finetune` wrote at the end of an epoch while it trained an adapter of
    /// `model`.
    ///
    /// # Errors
    /// No checkpoint there, a damaged one, one without an adapter or of another model, or one that no
    /// epoch ended before.
    pub fn open(dir: impl Into<PathBuf>, model: &dyn CausalLm) -> Result<Self, LessError> {
        let saved = SavedCheckpoint::open(dir)?;
        let lora = saved.lora(model)?;
        let Some(rate) = saved.learning_rate() else {
            return Err(LessError::NoRate { dir: saved.dir().to_owned() });
        };
        Ok(Self { saved, lora, rate })
    }

    /// The checkpoint as it lies on disk.
    pub fn saved(&self) -> &SavedCheckpoint {
        &self.saved
    }

    /// The adapter.
    pub fn lora(&self) -> &Lora {
        &self.lora
    }

    /// Mean learning rate of the epoch: the weight of this checkpoint's scores.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// The adapted layers of `model`, in the order of the forward pass.
    pub fn layers(&self, model: &dyn CausalLm) -> Vec<LayerInfo> {
        let adapted = |layer: &&LayerInfo| self.lora.matrices(layer.id).is_some();
        model.layers().iter().filter(adapted).cloned().collect()
    }

    /// `model` with this checkpoint's adapter, for passes over it.
    pub fn adapted<'a>(&'a mut self, model: &'a mut dyn CausalLm) -> Adapted<'a> {
        Adapted::new(model, &mut self.lora)
    }

    /// What makes features from the gradients of `layers`, which must be those that
    /// [`layers`](Self::layers) gives.
    ///
    /// # Errors
    /// A layer without an adapter, an adapter without moments, or what LibTorch reports.
    pub fn features(
        &self,
        layers: &[LayerInfo],
        params: &FeatureParams,
    ) -> Result<LoraFeatures, LessError> {
        let (adam, steps) = (self.saved.optimizer(), self.saved.steps());
        let how = (params.projection, params.seed);
        let fingerprint = self.fingerprint(params);
        LoraFeatures::new(
            &self.lora,
            layers,
            fingerprint,
            how,
            |name, like| -> Result<_, LessError> {
                let (m, v) = self.saved.moments(name)?;
                let here = |moment: &tch::Tensor| {
                    moment.f_to_kind(like.kind())?.f_to_device(like.device())
                };
                Ok(Step::new(params.direction, (&here(m)?, &here(v)?), &adam, steps)?)
            },
        )
    }

    /// What makes the features of targets: plain gradients under the same projection.
    ///
    /// # Errors
    /// Those of [`features`](Self::features).
    pub fn target_features(
        &self,
        layers: &[LayerInfo],
        params: &FeatureParams,
    ) -> Result<LoraFeatures, LessError> {
        self.features(layers, &FeatureParams { direction: Direction::Plain, ..*params })
    }

    /// What decides the features beside the candidates, the model and the pass: adapter and moments, Adam's settings and
    /// `params`.
    pub fn fingerprint(&self, params: &FeatureParams) -> Fingerprint {
        json!({
            "warmup": self.saved.fingerprint(),
            "warmup_steps": self.saved.steps(),
            "adam": self.saved.optimizer(),
            "direction": params.direction,
            "projection": params.projection,
            "projection_seed": params.seed,
        })
        .into()
    }
}
