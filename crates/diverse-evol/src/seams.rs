//! What the loop leaves to others: training a model, looking at the records with it.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use serde_json::Value;

use crate::Need;
use tamis_selection::Vectors;

/// Why a trainer or a viewer failed, in its own words.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Numbers by name, such as `train_loss`: finite ones, equal for equal runs. How long something took
/// does not belong here.
pub type Metrics = BTreeMap<String, f64>;

/// Trains models.
pub trait Trainer {
    /// Everything that decides what model comes out, beside the base model and the records: settings,
    /// seed, template. A run with another description is refused in the same folder.
    fn description(&self) -> Value;

    /// Trains a *fresh* copy of the base model on the records of the task, and leaves the result, whole,
    /// in [`Task::model`]. Never goes on from the model of another round.
    ///
    /// Called again after an interruption; it may then go on from what it finds in [`Task::work`].
    ///
    /// # Errors
    /// Whatever keeps it from training.
    fn train(&mut self, task: &Task<'_>) -> Result<Metrics, Failure>;
}

/// One training.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// Its round, from 0.
    pub round: usize,
    /// The training set, ascending: the model depends on the set, not on the order of the choice.
    pub records: &'a [usize],
    /// A folder for checkpoints and the like, which exists. It stays until the training is finished,
    /// over interruptions, and is removed then.
    pub work: &'a Path,
    /// Where the folder of the trained model has to appear. Does not exist when training begins.
    pub model: &'a Path,
}

/// Looks at all records with a model.
pub trait Viewer {
    /// Embeddings, in memory or mapped from a file.
    type Rows: Vectors;

    /// Everything that decides what is seen, beside model and records. A run with another description
    /// is refused in the same folder.
    fn description(&self) -> Value;

    /// What is needed of *every* record of the pool, in its order: [`View::Embeddings`] or
    /// [`View::Uncertainty`], as `need` says.
    ///
    /// Called again after an interruption; it may then go on from what it finds in [`Sight::place`].
    ///
    /// # Errors
    /// Whatever keeps it from looking.
    fn view(&mut self, sight: &Sight<'_>, need: Need) -> Result<View<Self::Rows>, Failure>;

    /// What is to be noted of a model that was just trained, such as its loss on held-out data.
    /// Nothing by default.
    ///
    /// # Errors
    /// Whatever keeps it from measuring.
    fn measure(&mut self, sight: &Sight<'_>) -> Result<Metrics, Failure> {
        let _ = sight;
        Ok(Metrics::new())
    }
}

/// One look at the pool.
#[derive(Clone, Copy, Debug)]
pub struct Sight<'a> {
    /// Round of the model, from 0; none for the base model.
    pub round: Option<usize>,
    /// The model's folder.
    pub model: &'a Path,
    /// A folder for what is seen, which may not exist yet. It stays over interruptions, and belongs to
    /// this model alone.
    pub place: &'a Path,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum View<R> {
    /// A row of numbers for every record.
    Embeddings(R),
    /// A number for every record.
    Uncertainty(Vec<f64>),
}

/// What a round does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoundStage {
    /// Looking at all records with the model of the round before.
    View,
    /// Choosing the records that the round adds.
    Pick,
    /// Training a fresh model on all chosen so far.
    Train,
    /// Measuring it.
    Measure,
}
