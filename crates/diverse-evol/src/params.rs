//! The settings of a run, their check, and what it is run on.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::{EvolError, Strategy};
use tamis_kcenter::Metric;

/// Which training sets a model is trained on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Models {
    /// Those whose model chooses the next records: all but the last, and none for strategies that
    /// look at no trained model.
    #[default]
    Needed,
    /// Every one, so that each round can be measured.
    Every,
}

/// How a training set grows; [`check`](EvolParams::check) turns it into a [`DiverseEvol`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolParams {
    /// Records that round 0 draws at random. Default 100.
    pub initial: usize,
    /// Records that every later round adds. Default 100.
    pub per_round: usize,
    /// Rounds after round 0. Default 10. More of them can be asked for later: the run then goes on.
    pub rounds: usize,
    /// How records are chosen. Default k-center.
    pub strategy: Strategy,
    /// What "far" means to k-center and k-means. Default Euclidean.
    pub metric: Metric,
    /// Seed of the draw of round 0, of random strategies and of k-means. Default 0.
    pub seed: u64,
    /// Which training sets a model is trained on.
    pub models: Models,
    /// Whether the models of old rounds stay; the newest always does. Default yes.
    pub keep_models: bool,
    /// Whether what was seen of the records (their embeddings, say) stays for old rounds. Default
    /// yes.
    pub keep_views: bool,
}

impl Default for EvolParams {
    fn default() -> Self {
        Self {
            initial: 100,
            per_round: 100,
            rounds: 10,
            strategy: Strategy::default(),
            metric: Metric::default(),
            seed: 0,
            models: Models::default(),
            keep_models: true,
            keep_views: true,
        }
    }
}

impl EvolParams {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`EvolError::Parameter`] for a count of 0, or a sum beyond what can be counted.
    pub fn check(self) -> Result<DiverseEvol, EvolError> {
        for (name, value) in
            [("initial", self.initial), ("per_round", self.per_round), ("rounds", self.rounds)]
        {
            ParameterError::at_least(name, value, 1)?;
        }
        let added = self.per_round.checked_mul(self.rounds);
        if let Some(budget) = added.and_then(|added| added.checked_add(self.initial)) {
            Ok(DiverseEvol { params: self, budget })
        } else {
            let expected = "few enough that all records can be counted";
            Err(ParameterError::new("rounds", self.rounds, expected).into())
        }
    }
}

/// The loop with checked settings; made by [`EvolParams::check`], run by
/// [`run`](DiverseEvol::run).
#[derive(Clone, Debug, PartialEq)]
pub struct DiverseEvol {
    pub(crate) params: EvolParams,
    budget: usize,
}

impl DiverseEvol {
    /// The settings.
    pub fn params(&self) -> &EvolParams {
        &self.params
    }

    /// Records in the training set after the last round.
    pub fn budget(&self) -> usize {
        self.budget
    }

    /// Records in the training set of `round`, from 0.
    pub fn size(&self, round: usize) -> usize {
        self.params.initial + round * self.params.per_round
    }

    /// Whether a model is trained on the set of `round`.
    pub(crate) fn trains(&self, round: usize) -> bool {
        match self.params.models {
            Models::Every => true,
            Models::Needed => self.params.strategy.needs_training() && round < self.params.rounds,
        }
    }
}
