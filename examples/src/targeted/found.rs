//! What was found for some tasks, as lines and files.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::Serialize;
use serde_json::{Map, Value};
use tamis::dataset::{Dataset, SampleId};
use tamis::report::{RunRecord, format_number};
use tamis::selection::targets::{ScoredCandidate, TargetScores, TaskRule};
use tamis::selection::{Decision, Selection};

use crate::Exports;
use crate::outputs::write_outputs;

/// One line of `scores.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Id of the row.
    pub id: String,
    /// Its place in the pool, from 0.
    pub index: usize,
    /// What the rule ranks by: see [`TaskRule::score`].
    pub score: Option<f64>,
    /// For each task the mean of its scores over the task's targets.
    pub tasks: Map<String, Value>,
    /// The task with the highest of these.
    pub best_task: Option<String>,
    /// Whether it was chosen.
    pub selected: bool,
    /// Why it was chosen, or why not.
    pub reason: String,
}

/// Everything found, and what to call it.
#[derive(Debug)]
pub struct Found<'a> {
    /// Title of the page.
    pub title: &'a str,
    /// What a score is, in a sentence.
    pub meaning: &'a str,
    /// The rows chosen from.
    pub pool: &'a Dataset,
    /// Their scores.
    pub scores: &'a TargetScores,
    /// The rule that chose.
    pub rule: TaskRule,
    /// Its choice.
    pub selection: &'a Selection,
}

impl Found<'_> {
    /// One line for every row of the pool that could be read, in its order.
    ///
    /// # Errors
    /// Decisions about other rows than those of the pool.
    pub fn lines(&self) -> Result<Vec<Line>> {
        ensure!(
            self.selection.len() == self.pool.len(),
            "there are decisions about {} rows, but {} has {}",
            self.selection.len(),
            self.pool.path().display(),
            self.pool.len()
        );
        let scored = self.scores.candidates().iter();
        let mut rows: Vec<(usize, &SampleId, Option<&ScoredCandidate>)> =
            scored.map(|scored| (scored.index, &scored.id, Some(scored))).collect();
        let without = self.scores.unscored().iter();
        rows.extend(without.map(|other| (other.index, &other.id, None)));
        rows.sort_by_key(|(index, ..)| *index);
        let names: Vec<&str> = self.scores.tasks().map(|(name, _)| name).collect();
        // Decisions are in the order of the pool.
        let line = |decision: Decision| {
            let (index, id, scored) = rows[decision.position];
            let tasks = scored.map_or(Vec::new(), |scored| self.scores.task_scores(scored));
            let best = (0..tasks.len()).rev().max_by(|&a, &b| tasks[a].total_cmp(&tasks[b]));
            Line {
                id: id.to_string(),
                index: self.pool.row(decision.position).unwrap_or(index),
                score: scored.map(|scored| self.rule.score(self.scores, scored)),
                tasks: names.iter().zip(tasks).map(|(&n, s)| (n.to_owned(), s.into())).collect(),
                best_task: best.map(|task| names[task].to_owned()),
                selected: decision.selected,
                reason: decision.reason,
            }
        };
        Ok(self.selection.decisions().map(line).collect())
    }

    /// Counts what was found, and writes `selected.*`, `scores.jsonl`, `run.json` and `report.html`
    /// into `out`, and the chosen rows again in the forms of `exports`; returns the files.
    ///
    /// # Errors
    /// A file that cannot be written, naming it.
    pub fn write(
        &self,
        out: &Path,
        exports: &Exports,
        mut record: RunRecord,
    ) -> Result<Vec<PathBuf>> {
        let lines = self.lines()?;
        let rejects = self.pool.rejects();
        record.notes.extend(rejects.iter().map(|reject| format!("not read: {reject}")));
        for (name, count) in [
            ("read", self.pool.len() + rejects.len()),
            ("rejected", rejects.len() + self.scores.unscored().len()),
            ("scored", self.scores.candidates().len()),
            ("tasks", self.scores.tasks().len()),
            ("targets", self.scores.targets().len()),
            ("selected", self.selection.count()),
        ] {
            record.counts.set(name, count as u64);
        }
        let chosen: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].selected).collect();
        let page = |record: &RunRecord| self.page(&lines, record);
        write_outputs(out, self.pool, &chosen, &lines, exports, record, page)
    }

    /// What happened: a line for the pool, and one for each task.
    ///
    /// # Errors
    /// Those of [`lines`](Self::lines).
    pub fn summary(&self) -> Result<String> {
        let lines = self.lines()?;
        let mut told = vec![format!(
            "{} rows, {} scored against {} targets, {} chosen by {}",
            lines.len(),
            self.scores.candidates().len(),
            self.scores.targets().len(),
            self.selection.count(),
            self.rule
        )];
        for (task, columns) in self.scores.tasks() {
            let median = |chosen: bool| {
                let values = Self::of_task(&lines, task, chosen);
                values.get(values.len() / 2).map_or("-".to_owned(), |&value| format_number(value))
            };
            let (count, pool, chosen) = (columns.len(), median(false), median(true));
            told.push(format!(
                "{task}: {count} targets, median score {pool}, of the chosen {chosen}"
            ));
        }
        Ok(told.join("\n"))
    }

    /// Scores of a task, of all rows or of the chosen ones, ascending.
    pub(super) fn of_task(lines: &[Line], task: &str, chosen: bool) -> Vec<f64> {
        let lines = lines.iter().filter(|line| line.selected || !chosen);
        let mut values: Vec<f64> =
            lines.filter_map(|line| line.tasks.get(task).and_then(Value::as_f64)).collect();
        values.sort_by(f64::total_cmp);
        values
    }
}
