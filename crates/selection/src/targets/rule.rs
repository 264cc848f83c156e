//! Rules that choose candidates by their scores against tasks.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::round_robin::{Turn, round_robin};
use super::{ScoredCandidate, TargetError, TargetScores};
use crate::candidates::Candidates;
use crate::error::SelectionError;
use crate::selection::Selection;
use crate::selector::Selector;
use crate::why::Why;

/// How the scores against several tasks become one choice.
///
/// Of equal scores the earlier row of the pool goes first. Written `max`, `mean` or `round-robin`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskRule {
    /// The highest of the tasks' scores, each the mean over the targets of the task: a candidate
    /// that helps one task much is chosen whatever it does for the others. That of LESS
    /// (arXiv 2402.04333, section 4.2).
    #[default]
    Max,
    /// The mean of the tasks' scores, each the mean over the targets of the task.
    Mean,
    /// Tasks in turn, and within a task its targets in turn, take the best candidate that is left:
    /// every task gets the same number, and so does every target of a task. That of RDS+
    /// (arXiv 2503.01807, section 3).
    RoundRobin,
}

impl TaskRule {
    const ALL: [Self; 3] = [Self::Max, Self::Mean, Self::RoundRobin];

    fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Mean => "mean",
            Self::RoundRobin => "round-robin",
        }
    }

    /// One number for a candidate of `scores`: the highest or the mean of the tasks' scores; for
    /// [`RoundRobin`](Self::RoundRobin), which ranks by single targets, the highest score of all.
    pub fn score(self, scores: &TargetScores, candidate: &ScoredCandidate) -> f64 {
        let highest = |values: &mut dyn Iterator<Item = f64>| values.fold(f64::MIN, f64::max);
        match self {
            Self::Max => highest(&mut scores.task_scores(candidate).into_iter()),
            Self::Mean => {
                let tasks = scores.task_scores(candidate);
                tasks.iter().sum::<f64>() / tasks.len() as f64
            }
            Self::RoundRobin => highest(&mut candidate.scores.iter().copied().map(f64::from)),
        }
    }

    /// Chooses exactly `budget` of the candidates, of which the positions are their places among all that have scores or
    /// none, by rising index. Those without scores have their own reason.
    ///
    /// # Errors
    /// A budget above the number of candidates with scores.
    pub fn choose(self, scores: &TargetScores, budget: usize) -> Result<Selection, SelectionError> {
        let (candidates, unscored) = (scores.candidates(), scores.unscored());
        if budget > candidates.len() {
            let (scored, unscored) = (candidates.len(), unscored.len());
            return Err(TargetError::Budget { budget, scored, unscored }.into());
        }
        let below = Why::words("below the budget");
        let decided =
            candidates.iter().enumerate().map(|(n, one)| (one.index, Some(n), below.clone()));
        let without = unscored.iter().map(|one| (one.index, None, Why::words(one.reason.as_str())));
        let mut rows: Vec<(usize, Option<usize>, Why)> = decided.chain(without).collect();
        rows.sort_by_key(|(index, ..)| *index);
        let mut places = vec![0; candidates.len()];
        for (place, (_, candidate, _)) in rows.iter().enumerate() {
            if let Some(candidate) = candidate {
                places[*candidate] = place;
            }
        }
        let mut order = Vec::with_capacity(budget);
        for (candidate, why) in self.ranked(scores, budget) {
            let place = places[candidate];
            rows[place].2 = why;
            order.push(place);
        }
        Selection::new(order, rows.into_iter().map(|(.., why)| why).collect())
    }

    /// Positions in [`TargetScores::candidates`] of `budget` candidates, best first, each with the
    /// reason for it.
    fn ranked(self, scores: &TargetScores, budget: usize) -> Vec<(usize, Why)> {
        let tasks: Vec<Arc<str>> = scores.tasks().map(|(name, _)| name.into()).collect();
        if self == Self::RoundRobin {
            let names: Vec<(Arc<str>, Arc<str>)> = scores
                .targets()
                .iter()
                .map(|target| (target.task.as_str().into(), target.name.as_str().into()))
                .collect();
            let why = |turn: &Turn| {
                let (task, target) = names[turn.column].clone();
                (turn.candidate, Why::Turn { number: turn.number, task, target })
            };
            return round_robin(scores, budget).iter().map(why).collect();
        }
        let order = best_first(scores.candidates().iter().map(|c| self.score(scores, c)));
        let ranked = order.into_iter().take(budget);
        if self == Self::Mean {
            let by: Arc<str> = "the mean over tasks".into();
            let why = |(place, position)| (position, Why::Rank { rank: place + 1, by: by.clone() });
            return ranked.enumerate().map(why).collect();
        }
        // The task that speaks for a candidate, and how many it spoke for before.
        let mut ranks = vec![0; tasks.len()];
        ranked
            .map(|position| {
                let task = best_task(&scores.task_scores(&scores.candidates()[position]));
                ranks[task] += 1;
                (position, Why::Task { task: tasks[task].clone(), rank: ranks[task] })
            })
            .collect()
    }
}

/// Chooses by all columns of the scores, each a target: `TASK/NAME`, as those of
/// [`TargetColumns`](super::TargetColumns), or a task of one target.
impl Selector for TaskRule {
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError> {
        self.choose(&TargetScores::of_columns(candidates.need_scores()?)?, budget)
    }
}

/// Positions by falling value, of equal ones the earlier first.
fn best_first(values: impl Iterator<Item = f64>) -> Vec<usize> {
    // Adding zero makes -0.0 equal to 0.0.
    let values: Vec<f64> = values.map(|value| value + 0.0).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

/// The task with the highest score, of equal ones the first.
fn best_task(tasks: &[f64]) -> usize {
    best_first(tasks.iter().copied()).first().copied().unwrap_or(0)
}

impl fmt::Display for TaskRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for TaskRule {
    type Err = TargetError;

    fn from_str(word: &str) -> Result<Self, TargetError> {
        let rule = Self::ALL.into_iter().find(|rule| rule.name() == word);
        rule.ok_or_else(|| TargetError::Rule { found: word.to_owned() })
    }
}
