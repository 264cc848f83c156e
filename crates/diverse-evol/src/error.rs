//! The one error of this crate.

use std::io;
use std::path::PathBuf;

use tamis_artifact::{ArtifactError, ParameterError};
use tamis_clustering::ClusteringError;
use tamis_dataset::SampleId;
use tamis_kcenter::KCenterError;

use crate::{Failure, Need};

/// Why a run could not begin or go on. What earlier rounds did is never lost: repair the cause and run
/// again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvolError {
    /// A parameter has a value that makes no sense.
    #[error(transparent)]
    Parameter(#[from] ParameterError),

    /// A word that names no strategy.
    #[error("`{found}` is not a strategy, expected one of {expected}")]
    UnknownStrategy {
        /// The word.
        found: String,
        /// The names there are.
        expected: String,
    },

    /// More records are to be chosen than the pool has.
    #[error(
        "{initial} records and {rounds} rounds of {per_round} make {budget}, but the pool has only {records}; lower one of them"
    )]
    Budget {
        /// Records drawn first.
        initial: usize,
        /// Records of a round.
        per_round: usize,
        /// Rounds.
        rounds: usize,
        /// What they make.
        budget: usize,
        /// What there is.
        records: usize,
    },

    /// Two records have one id.
    #[error("records {first} and {second} of the pool have the same id `{id}`")]
    DuplicateId {
        /// The id.
        id: SampleId,
        /// Number of the first record that has it, from 0.
        first: usize,
        /// Number of the second.
        second: usize,
    },

    /// The trainer failed.
    #[error("training on the {records} records of round {round} failed: {reason}")]
    Training {
        /// The round.
        round: usize,
        /// Its training set.
        records: usize,
        /// The trainer's reason.
        reason: Failure,
    },

    /// The trainer says it is done, but there is no model.
    #[error(
        "the trainer ended well in round {round}, but {} {problem}; it has to write the trained model there",
        folder.display()
    )]
    NoModel {
        /// The round.
        round: usize,
        /// Where the model should be.
        folder: PathBuf,
        /// What is there instead.
        problem: &'static str,
    },

    /// The viewer failed.
    #[error("looking at the pool with {} failed: {reason}", model.display())]
    Viewing {
        /// The model.
        model: PathBuf,
        /// The viewer's reason.
        reason: Failure,
    },

    /// The model could not be measured.
    #[error("measuring {} failed: {reason}", model.display())]
    Measuring {
        /// The model.
        model: PathBuf,
        /// The viewer's reason.
        reason: Failure,
    },

    /// A metric that cannot be written down.
    #[error("round {round}: the metric `{name}` is {value}, expected a finite number")]
    Metric {
        /// The round.
        round: usize,
        /// Its name.
        name: String,
        /// Its value.
        value: f64,
    },

    /// The viewer saw another number of records than there are.
    #[error("the viewer gave {found} rows or numbers, but the pool has {expected} records")]
    ViewLength {
        /// What it gave.
        found: usize,
        /// Records.
        expected: usize,
    },

    /// The viewer gave something else than it was asked for.
    #[error("the viewer was asked for {need} and gave something else")]
    ViewKind {
        /// What was asked for.
        need: Need,
    },

    /// A record cannot be compared with others.
    #[error("record `{id}` (number {index} of the pool): {problem}; leave it out, or find out why")]
    Record {
        /// Its id.
        id: SampleId,
        /// Its number, from 0.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },

    /// k-center could not be done.
    #[error(transparent)]
    KCenter(#[from] KCenterError),

    /// k-means, or a random draw, could not be done.
    #[error(transparent)]
    Clustering(#[from] ClusteringError),

    /// The journal could not be written, or belongs to another run.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),

    /// The journal says something that cannot be.
    #[error("{}: {problem}; the folder cannot be trusted: use another one", path.display())]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },

    /// A trained model that is still needed is gone.
    #[error(
        "{} is gone, but the next round needs the model of round {round}; put it back, or begin anew in another folder",
        folder.display()
    )]
    ModelGone {
        /// Its round.
        round: usize,
        /// Where it was.
        folder: PathBuf,
    },

    /// A trained model is not what training wrote.
    #[error(
        "the files in {} hash to {found}, but training wrote {expected}; put the model of round {round} back, or begin anew in another folder",
        folder.display()
    )]
    ModelChanged {
        /// Its round.
        round: usize,
        /// Its folder.
        folder: PathBuf,
        /// Hash of what is there.
        found: String,
        /// Hash of what was written.
        expected: String,
    },

    /// A training command that cannot be used.
    #[error("the training command `{command}` {problem}")]
    Command {
        /// The command as it was given.
        command: String,
        /// What is wrong with it.
        problem: String,
    },

    /// The training command could not be started or ended badly.
    #[error("`{command}` {problem}; its output is in {}{tail}", log.display())]
    CommandFailed {
        /// What was run.
        command: String,
        /// How it ended.
        problem: String,
        /// What it said.
        log: PathBuf,
        /// The last lines of that, on lines of their own.
        tail: String,
    },

    /// A training command that was started before is still at work.
    #[error(
        "{} is still being written: the training command of an interrupted run is at work; wait for it to end, or end it, and run again",
        log.display()
    )]
    StillRunning {
        /// Where its output goes.
        log: PathBuf,
    },

    /// The operating system refused something.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },

    /// LibTorch refused an operation.
    #[cfg(feature = "model")]
    #[error("LibTorch: {0}")]
    Torch(#[from] tch::TchError),

    /// The model could not be run.
    #[cfg(feature = "model")]
    #[error(transparent)]
    Model(#[from] tamis_model::ModelError),

    /// Rows could not be read, or samples not batched.
    #[error(transparent)]
    Dataset(#[from] tamis_dataset::DatasetError),
}

impl EvolError {
    /// For `map_err`: an [`EvolError::Io`] about `path`.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
