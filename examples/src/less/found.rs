//! What `less` found, as lines and as a page.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use tamis::dataset::{Dataset, Selection};
use tamis::report::{Report, RunRecord, Score, SelectionReport, Tile, best_and_worst};
use tamis::targets::TargetScores;

use super::Flags;
use crate::outputs::examples;

/// One line of `scores.jsonl`.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Id of the row.
    pub id: String,
    /// Its place in the pool, from 0.
    pub index: usize,
    /// The score that the rule ranks by; null if there is none.
    pub score: Option<f64>,
    /// The score against each task.
    pub tasks: BTreeMap<String, f64>,
    /// The task with the highest.
    pub best_task: Option<String>,
    /// Whether it was chosen.
    pub selected: bool,
    /// Why it was chosen, or why not.
    pub reason: String,
}

/// Everything the method found.
#[derive(Debug)]
pub struct Found<'a> {
    /// What was asked for.
    pub flags: &'a Flags,
    /// The pool.
    pub pool: &'a Dataset,
    /// Scores of the pool.
    pub scores: &'a TargetScores,
    /// The choice.
    pub selection: &'a Selection,
}

impl Found<'_> {
    /// One line for every row of the pool that could be read, in its order.
    pub fn lines(&self) -> Vec<Line> {
        let mut candidates = self.scores.candidates().iter().peekable();
        let line = |decision: &tamis::dataset::Decision| {
            let own = candidates.next_if(|candidate| candidate.index == decision.index);
            let score = own.map(|own| self.flags.rule.score(self.scores, own));
            let values = own.map(|own| self.scores.task_scores(own)).unwrap_or_default();
            let tasks: Vec<(String, f64)> =
                self.scores.tasks().map(|(name, _)| name.to_owned()).zip(values).collect();
            // Of equal ones the first.
            let best = tasks.iter().rev().max_by(|a, b| a.1.total_cmp(&b.1));
            Line {
                id: decision.id.to_string(),
                index: decision.index,
                score,
                best_task: best.map(|(name, _)| name.clone()),
                tasks: tasks.into_iter().collect(),
                selected: decision.selected,
                reason: decision.reason.clone(),
            }
        };
        self.selection.decisions.iter().map(line).collect()
    }

    /// Puts counts and rows that could not be read into the record of the run.
    pub fn count(&self, record: &mut RunRecord) {
        let rejects = self.pool.rejects();
        record.notes.extend(rejects.iter().map(|reject| format!("not read: {reject}")));
        let scored = self.scores.candidates().len();
        let selected = self.selection.decisions.iter().filter(|d| d.selected).count();
        for (name, count) in [
            ("read", self.pool.len() + rejects.len()),
            ("rejected", rejects.len() + self.scores.unscored().len()),
            ("scored", scored),
            ("budget", self.flags.budget),
            ("selected", selected),
        ] {
            record.counts.set(name, count as u64);
        }
    }

    /// The page, from `lines` and the finished record of the run.
    ///
    /// # Errors
    /// A row of the pool that can no longer be read.
    pub fn page(&self, lines: &[Line], record: &RunRecord) -> Result<Report> {
        let values: Vec<Option<f64>> = lines.iter().map(|line| line.score).collect();
        let (high, low) = best_and_worst(&values, 8);
        let mut scores = vec![Score {
            name: "score".to_owned(),
            meaning: format!("What the rule {} ranks by.", self.flags.rule),
            values,
        }];
        scores.extend(self.scores.tasks().map(|(task, _)| Score {
            name: task.to_owned(),
            meaning: format!("Mean cosine with the examples of {task}, over the epochs."),
            values: lines.iter().map(|line| line.tasks.get(task).copied()).collect(),
        }));
        let page = SelectionReport {
            title: "LESS selection".to_owned(),
            lead: format!(
                "{} rows chosen from {} for {} tasks by the rule {}, with the gradients of the model in {}.",
                lines.iter().filter(|line| line.selected).count(),
                self.pool.path().display(),
                self.scores.tasks().len(),
                self.flags.rule,
                self.flags.model.model.display()
            ),
            tiles: vec![
                Tile::new("Scored", self.scores.candidates().len().to_string()),
                Tile::new("Tasks", self.scores.tasks().len().to_string()),
            ],
            selected: lines.iter().map(|line| line.selected).collect(),
            reasons: lines.iter().map(kind_of_reason).collect(),
            scores,
            lengths: None,
            map: None,
            examples: vec![
                examples(self.pool, "Highest scores", &high)?,
                examples(self.pool, "Lowest scores", &low)?,
            ],
        };
        Ok(page.build(record)?)
    }
}

/// A reason without the place in the ranking, which is another for every row.
fn kind_of_reason(line: &Line) -> String {
    match line.reason.split_once(", rank ") {
        Some((task, _)) => task.to_owned(),
        None => line.reason.clone(),
    }
}
