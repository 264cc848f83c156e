//! Rules that choose candidates by their scores against tasks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_dataset::{Decision, Selection, Selector};

use super::round_robin::{Turn, round_robin};
use super::{Scored, TargetError, TargetScores};

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
    pub fn score(self, scores: &TargetScores, candidate: &Scored) -> f64 {
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

    /// Positions in [`TargetScores::candidates`] of `budget` candidates, best first, each with the
    /// reason for it.
    fn choose(self, scores: &TargetScores, budget: usize) -> Vec<(usize, String)> {
        if self == Self::RoundRobin {
            let reason = |turn: &Turn| {
                let target = &scores.targets()[turn.column];
                format!("turn {} of task {}, target {}", turn.number, target.task, target.name)
            };
            let turns = round_robin(scores, budget);
            return turns.iter().map(|turn| (turn.candidate, reason(turn))).collect();
        }
        let order = best_first(scores.candidates().iter().map(|c| self.score(scores, c)));
        let ranked = order.into_iter().take(budget);
        if self == Self::Mean {
            let reason = |place| format!("rank {} by the mean over tasks", place + 1);
            return ranked.enumerate().map(|(place, position)| (position, reason(place))).collect();
        }
        // The task that speaks for a candidate, and how many it spoke for before.
        let mut ranks = vec![0; scores.tasks().len()];
        let names: Vec<&str> = scores.tasks().map(|(name, _)| name).collect();
        ranked
            .map(|position| {
                let task = best_task(&scores.task_scores(&scores.candidates()[position]));
                ranks[task] += 1;
                (position, format!("task {}, rank {}", names[task], ranks[task]))
            })
            .collect()
    }
}

/// Chooses exactly `budget` candidates. Those without scores have their own reason.
impl Selector for TaskRule {
    type Input = TargetScores;
    type Error = TargetError;

    /// # Errors
    /// A budget above the number of candidates with scores.
    fn select(&self, scores: &TargetScores, budget: usize) -> Result<Selection, TargetError> {
        let (candidates, unscored) = (scores.candidates(), scores.unscored());
        if budget > candidates.len() {
            let (scored, unscored) = (candidates.len(), unscored.len());
            return Err(TargetError::Budget { budget, scored, unscored });
        }
        let mut chosen: Vec<Option<String>> = vec![None; candidates.len()];
        for (position, reason) in self.choose(scores, budget) {
            chosen[position] = Some(reason);
        }
        let decided = candidates.iter().zip(chosen).map(|(candidate, reason)| Decision {
            id: candidate.id.clone(),
            index: candidate.index,
            selected: reason.is_some(),
            reason: reason.unwrap_or_else(|| "below the budget".to_owned()),
        });
        let without = unscored.iter().map(|other| Decision {
            id: other.id.clone(),
            index: other.index,
            selected: false,
            reason: other.reason.clone(),
        });
        let mut decisions: Vec<Decision> = decided.chain(without).collect();
        decisions.sort_by_key(|decision| decision.index);
        Ok(Selection { decisions })
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
