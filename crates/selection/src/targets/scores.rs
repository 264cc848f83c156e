//! Scores of candidates against targets.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use tamis_dataset::SampleId;

use super::TargetError;
use crate::scorer::Score;
use crate::scores::Scores;

/// What candidates are scored against: one column of the scores.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    /// The task it belongs to.
    pub task: String,
    /// Its name in the task: a target example, or a sub-task whose examples are scored together.
    pub name: String,
}

impl Target {
    /// The target `name` of `task`.
    pub fn new(task: impl Into<String>, name: impl Into<String>) -> Self {
        Target { task: task.into(), name: name.into() }
    }
}

/// A candidate with its scores.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredCandidate {
    /// Its id.
    pub id: SampleId,
    /// Its 0-based row in the pool.
    pub index: usize,
    /// One score a target, in the order of the targets; higher is better.
    pub scores: Vec<f32>,
}

/// A candidate without scores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unscored {
    /// Its id.
    pub id: SampleId,
    /// Its 0-based row in the pool.
    pub index: usize,
    /// Why it has none, in words.
    pub reason: String,
}

/// The scores of a pool against targets: what a [`TaskRule`](super::TaskRule) selects by.
///
/// It is checked: every candidate has a finite score for every target, and no id, row or target
/// occurs twice. Targets and candidates are sorted, so that nothing depends on the order they were
/// given in: the targets of a task stand together, tasks in the order in which they first came, and
/// candidates stand in the order of the pool.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetScores {
    targets: Vec<Target>,
    tasks: Vec<(String, Range<usize>)>,
    candidates: Vec<ScoredCandidate>,
    unscored: Vec<Unscored>,
}

impl TargetScores {
    /// Checks and sorts scores.
    ///
    /// # Errors
    /// No targets, a target, id or row that occurs twice, another number of scores than of targets,
    /// a score that is not finite.
    pub fn new(
        targets: Vec<Target>,
        mut candidates: Vec<ScoredCandidate>,
        mut unscored: Vec<Unscored>,
    ) -> Result<Self, TargetError> {
        check_targets(&targets)?;
        for ScoredCandidate { id, scores, .. } in &candidates {
            if scores.len() != targets.len() {
                let (found, expected) = (scores.len(), targets.len());
                return Err(TargetError::Length { id: id.to_string(), found, expected });
            }
            if let Some(column) = scores.iter().position(|score| !score.is_finite()) {
                let Target { task, name } = targets[column].clone();
                let (id, value) = (id.to_string(), scores[column]);
                return Err(TargetError::NonFinite { id, task, target: name, value });
            }
        }
        check_names(&candidates, &unscored)?;
        let (order, tasks) = by_task(&targets);
        if !order.is_sorted() {
            for candidate in &mut candidates {
                candidate.scores = order.iter().map(|&column| candidate.scores[column]).collect();
            }
        }
        // Stable: the targets of a task keep their order.
        let mut targets = targets;
        targets
            .sort_by_cached_key(|target| tasks.iter().position(|(task, _)| *task == target.task));
        candidates.sort_by_key(|candidate| candidate.index);
        unscored.sort_by_key(|candidate| candidate.index);
        Ok(Self { targets, tasks, candidates, unscored })
    }

    /// Those in the columns `TASK/NAME`; a column without a slash is the one target of its task. Rows are known by their
    /// positions. One that lacks a score has none, for the first reason.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn of_columns(scores: &Scores) -> Result<Self, TargetError> {
        let target = |column: &String| {
            let (task, name) = column.split_once('/').unwrap_or((column, column));
            Target::new(task, name)
        };
        let (mut candidates, mut unscored) = (Vec::new(), Vec::new());
        for (index, row) in scores.rows.iter().enumerate() {
            let id = row.id.clone();
            if let Some(reason) = row.scores.iter().find_map(Score::reason) {
                unscored.push(Unscored { id, index, reason: reason.to_string() });
            } else {
                let scores = row.scores.iter().filter_map(Score::value);
                let scores = scores.map(|score| score as f32).collect();
                candidates.push(ScoredCandidate { id, index, scores });
            }
        }
        Self::new(scores.columns.iter().map(target).collect(), candidates, unscored)
    }

    /// The targets, those of a task together.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Candidates with scores, in the order of the pool.
    pub fn candidates(&self) -> &[ScoredCandidate] {
        &self.candidates
    }

    /// Candidates without, in the order of the pool.
    pub fn unscored(&self) -> &[Unscored] {
        &self.unscored
    }

    /// The tasks, each with the places of its targets.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = (&str, Range<usize>)> {
        self.tasks.iter().map(|(name, columns)| (name.as_str(), columns.clone()))
    }

    /// The mean of a candidate's scores over the targets of each task, in the order of
    /// [`tasks`](Self::tasks). `candidate` has as many scores as there are targets.
    pub fn task_scores(&self, candidate: &ScoredCandidate) -> Vec<f64> {
        let mean = |columns: &Range<usize>| {
            let scores = &candidate.scores[columns.clone()];
            scores.iter().copied().map(f64::from).sum::<f64>() / scores.len() as f64
        };
        self.tasks.iter().map(|(_, columns)| mean(columns)).collect()
    }
}

fn check_targets(targets: &[Target]) -> Result<(), TargetError> {
    if targets.is_empty() {
        return Err(TargetError::NoTargets);
    }
    let mut seen = HashSet::new();
    match targets.iter().find(|target| !seen.insert(*target)) {
        Some(Target { task, name }) => {
            Err(TargetError::TargetTwice { task: task.clone(), name: name.clone() })
        }
        None => Ok(()),
    }
}

fn check_names(candidates: &[ScoredCandidate], unscored: &[Unscored]) -> Result<(), TargetError> {
    let (mut ids, mut indices) = (HashSet::new(), HashSet::new());
    let scored = candidates.iter().map(|candidate| (&candidate.id, candidate.index));
    for (id, index) in scored.chain(unscored.iter().map(|other| (&other.id, other.index))) {
        if !ids.insert(id) {
            return Err(TargetError::CandidateTwice { what: "id", value: id.to_string() });
        }
        if !indices.insert(index) {
            return Err(TargetError::CandidateTwice { what: "index", value: index.to_string() });
        }
    }
    Ok(())
}

/// Columns with those of a task together, and the tasks with their places in that order.
fn by_task(targets: &[Target]) -> (Vec<usize>, Vec<(String, Range<usize>)>) {
    let mut tasks: Vec<(String, Vec<usize>)> = Vec::new();
    let mut places = HashMap::new();
    for (column, target) in targets.iter().enumerate() {
        let place = *places.entry(target.task.as_str()).or_insert_with(|| {
            tasks.push((target.task.clone(), Vec::new()));
            tasks.len() - 1
        });
        tasks[place].1.push(column);
    }
    let (mut order, mut ranges) = (Vec::with_capacity(targets.len()), Vec::new());
    for (task, columns) in tasks {
        ranges.push((task, order.len()..order.len() + columns.len()));
        order.extend(columns);
    }
    (order, ranges)
}
