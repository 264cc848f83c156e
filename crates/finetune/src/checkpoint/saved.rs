//! A finished checkpoint, read by what comes after training.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tamis_artifact::hash_bytes;
use tamis_model::CausalLm;
use tch::Tensor;

use super::state::State;
use super::{FIRST, OPTIMIZER, SECOND};
use crate::{AdamWParams, EpochRecord, FinetuneError, Lora, TrainParams, tensor_file};

/// A checkpoint as it lies on disk: weights or adapter, the optimizer's moments by name, and how far
/// the run had come.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tamis_finetune::SavedCheckpoint;
///
/// let checkpoint = SavedCheckpoint::open("run/checkpoint-40")?;
/// let (m, v) = checkpoint.moments("model.layers.0.self_attn.q_proj.lora_A.weight")?;
/// println!("{} steps, mean rate {:?}", checkpoint.steps(), checkpoint.learning_rate());
/// # let _ = (m, v);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SavedCheckpoint {
    dir: PathBuf,
    state: State,
    params: TrainParams,
    moments: BTreeMap<String, Tensor>,
}

impl SavedCheckpoint {
    /// Opens the folder `checkpoint-<step>` of a run and reads the moments; every file is checked
    /// against its checksum.
    ///
    /// # Errors
    /// No checkpoint there, or a damaged one.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, FinetuneError> {
        let dir = dir.into();
        let state = State::read(&dir)?;
        let params = state
            .run
            .get("settings")
            .and_then(|settings| settings.get("training"))
            .cloned()
            .unwrap_or_default();
        let params = serde_json::from_value(params).map_err(|source| FinetuneError::Json {
            path: dir.join(super::state::STATE),
            source,
        })?;
        let moments = tensor_file::read(&dir.join(OPTIMIZER))?;
        Ok(Self { dir, state, params, moments })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Optimizer steps taken.
    pub fn steps(&self) -> usize {
        self.state.progress.step
    }

    /// Finished epochs.
    pub fn epochs(&self) -> &[EpochRecord] {
        &self.state.progress.epochs
    }

    /// Mean learning rate of the epoch that ended last, if one has and its record holds it.
    pub fn learning_rate(&self) -> Option<f64> {
        self.epochs().last().and_then(|epoch| epoch.learning_rate)
    }

    /// Settings of the run.
    pub fn params(&self) -> &TrainParams {
        &self.params
    }

    /// Settings of the optimizer.
    pub fn optimizer(&self) -> AdamWParams {
        self.params.adamw()
    }

    /// Both moments of a parameter, on the CPU.
    ///
    /// # Errors
    /// A parameter that was not trained.
    pub fn moments(&self, name: &str) -> Result<(&Tensor, &Tensor), FinetuneError> {
        let find = |what: &str| self.moments.get(&format!("{name}{what}"));
        let both = find(FIRST).zip(find(SECOND));
        both.ok_or_else(|| FinetuneError::File {
            path: self.dir.join(OPTIMIZER),
            problem: format!("it has no moments of `{name}`"),
        })
    }

    /// The adapter.
    ///
    /// # Errors
    /// A run that trained no adapter, or one that does not fit `model`.
    pub fn lora(&self, model: &dyn CausalLm) -> Result<Lora, FinetuneError> {
        Lora::load(&self.dir, model)
    }

    /// Hash over all tensors of the checkpoint, moments included: equal exactly if they are equal
    /// bit for bit.
    pub fn fingerprint(&self) -> String {
        let sums: Vec<String> = self
            .state
            .files()
            .filter(|(name, _)| {
                Path::new(name).extension().is_some_and(|extension| extension == "safetensors")
            })
            .map(|(name, blake3)| format!("{name} {blake3}\n"))
            .collect();
        hash_bytes(sums.concat().as_bytes())
    }
}
