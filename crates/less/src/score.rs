//! `LessScores` of stored candidates against the directions of targets.

use std::collections::BTreeMap;

use serde_json::Value;
use tamis_artifact::{Fingerprint, ParameterError};
use tamis_dataset::{Encoded, SampleId};
use tamis_gradients::{GradientPass, PackedShard, Reducer, RowStore};
use tamis_selection::targets::{ScoredCandidate, Target, TargetScores, Unscored};
use tch::{Device, Kind, Tensor};

use crate::{FeatureParams, LessError, LoraFeatures, WarmCheckpoint};

/// Target examples whose features are in memory at a time.
const AT_ONCE: usize = 512;

/// The direction of one target at one checkpoint, (dim,): the mean of its examples' features, each of
/// length 1. Its inner product with a candidate's unit features is the mean of the cosines.
///
/// `pass` runs over the checkpoint's adapted model, `features` are its
/// [`target_features`](WarmCheckpoint::target_features).
///
/// # Errors
/// No example, an example whose gradient is zero or not finite, or what the model reports.
pub fn target_direction(
    pass: &GradientPass<'_>,
    features: &LoraFeatures,
    task: &str,
    examples: &[Encoded],
) -> Result<Tensor, LessError> {
    let mut sum = Tensor::f_zeros([features.width() as i64], (Kind::Double, Device::Cpu))?;
    if examples.is_empty() {
        return Err(LessError::EmptyTask { task: task.to_owned() });
    }
    for some in examples.chunks(AT_ONCE) {
        let shard = pass.rows_of(some, features)?;
        let unusable = |id: &SampleId, at: usize, reason: String| LessError::Example {
            id: id.clone(),
            index: some[at].index,
            task: task.to_owned(),
            reason,
        };
        if let Some(skipped) = shard.skipped.first() {
            return Err(unusable(&skipped.id, skipped.index, skipped.reason.to_string()));
        }
        let rows = shard.rows.f_to_kind(Kind::Double)?;
        let norms = rows.f_linalg_norm(2, [1i64].as_slice(), true, Kind::Double)?;
        let lengths = Vec::<f64>::try_from(&norms.f_flatten(0, -1)?)?;
        if let Some(row) = lengths.iter().position(|&length| length <= 0.0) {
            let info = &shard.infos[row];
            return Err(unusable(&info.id, info.index, "its gradient is zero".to_owned()));
        }
        let units = rows.f_div(&norms)?;
        sum = sum.f_add(&units.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Double)?)?;
    }
    Ok(sum.f_div_scalar(examples.len() as f64)?)
}

/// Directions of all targets at one checkpoint.
#[derive(Debug)]
pub struct Directions {
    /// (targets, dim).
    rows: Tensor,
    weight: f64,
    /// What a store of candidates must have been made with.
    expected: Fingerprint,
}

impl Directions {
    /// `rows` (targets, dim), one [`target_direction`] a target, made at `checkpoint` with `params`.
    pub fn new(rows: Tensor, checkpoint: &WarmCheckpoint, params: &FeatureParams) -> Self {
        Self { rows, weight: checkpoint.rate(), expected: checkpoint.fingerprint(params) }
    }
}

/// Adds up, over checkpoints, what candidates score against targets:
/// `Σ_c w_c cos(target, candidate)`, where `w_c` are the checkpoints' mean learning rates, scaled to a
/// sum of 1 (LESS, arXiv 2402.04333, section 4.1; the scale changes no ranking, and scores stay
/// within −1 and 1).
#[derive(Debug)]
pub struct LessScores {
    targets: Vec<Target>,
    checkpoints: usize,
    weights: f64,
    sums: BTreeMap<usize, Sum>,
    unscored: BTreeMap<usize, Unscored>,
}

#[derive(Debug)]
struct Sum {
    id: SampleId,
    checkpoints: usize,
    scores: Vec<f64>,
}

impl LessScores {
    /// Nothing added yet.
    pub fn new(targets: Vec<Target>) -> Self {
        let (sums, unscored) = (BTreeMap::new(), BTreeMap::new());
        Self { targets, checkpoints: 0, weights: 0.0, sums, unscored }
    }

    /// Adds the scores at one checkpoint of all candidates in `store`.
    ///
    /// # Errors
    /// A store made at another checkpoint or with other settings, naming the field; directions of
    /// another number than there are targets; a shard that is missing or damaged.
    pub fn add(&mut self, directions: &Directions, store: &RowStore) -> Result<(), LessError> {
        if let Value::Object(fields) = directions.expected.value() {
            for (field, value) in fields {
                store.artifact().expect(&format!("made_from.reducer.{field}"), value)?;
            }
        }
        let found = directions.rows.size2()?.0 as usize;
        if found != self.targets.len() {
            let expected = format!("{}, the number of the targets", self.targets.len());
            return Err(ParameterError::new("number of directions", found, expected).into());
        }
        for shard in store.packed_shards() {
            self.shard(&shard?, &directions.rows, directions.weight)?;
        }
        self.checkpoints += 1;
        self.weights += directions.weight;
        Ok(())
    }

    fn shard(
        &mut self,
        shard: &PackedShard,
        directions: &Tensor,
        weight: f64,
    ) -> Result<(), LessError> {
        for skipped in &shard.skipped {
            self.leave_out(&skipped.id, skipped.index, skipped.reason.to_string());
        }
        if shard.infos.is_empty() {
            return Ok(());
        }
        let products = shard.rows.dot(directions)?.f_flatten(0, -1)?;
        let products = Vec::<f32>::try_from(&products)?;
        let rows = products.chunks_exact(self.targets.len()).zip(shard.rows.norms()?);
        for (info, (products, norm)) in shard.infos.iter().zip(rows) {
            if norm <= 0.0 {
                self.leave_out(&info.id, info.index, "its gradient is zero".to_owned());
                continue;
            }
            let sum = self.sums.entry(info.index).or_insert_with(|| Sum {
                id: info.id.clone(),
                checkpoints: 0,
                scores: vec![0.0; products.len()],
            });
            sum.checkpoints += 1;
            for (score, &product) in sum.scores.iter_mut().zip(products) {
                *score += weight * f64::from(product / norm);
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, id: &SampleId, index: usize, reason: String) {
        self.unscored.entry(index).or_insert_with(|| Unscored { id: id.clone(), index, reason });
    }

    /// The scores. A candidate that some checkpoint could not score has none.
    ///
    /// # Errors
    /// No checkpoint, checkpoints without any weight, a candidate that is missing from the store of
    /// one, or scores that do not fit together.
    pub fn finish(self) -> Result<TargetScores, LessError> {
        if self.weights <= 0.0 {
            let name = "sum of the checkpoints' learning rates";
            let expected = "above 0: at least one checkpoint with a learning rate";
            return Err(ParameterError::new(name, self.weights, expected).into());
        }
        let mut candidates = Vec::with_capacity(self.sums.len());
        for (index, sum) in self.sums {
            if self.unscored.contains_key(&index) {
                continue;
            }
            if sum.checkpoints != self.checkpoints {
                let name = "number of stores with a row of the candidate";
                let found = format!("{} for {}", sum.checkpoints, sum.id);
                let expected = format!("{}, the checkpoints: stores of one pool", self.checkpoints);
                return Err(ParameterError::new(name, found, expected).into());
            }
            let scores = sum.scores.iter().map(|score| (score / self.weights) as f32).collect();
            candidates.push(ScoredCandidate { id: sum.id, index, scores });
        }
        let unscored = self.unscored.into_values().collect();
        Ok(TargetScores::new(self.targets, candidates, unscored)?)
    }
}
