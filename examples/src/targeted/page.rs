//! What was found for some tasks, as a page.

use anyhow::Result;
use serde_json::Value;
use tamis::report::{
    Align, Lengths, Report, RunRecord, ScoreColumn, SelectionReport, Table, Tile, best_and_worst,
    format_number,
};

use super::{Found, Line};
use crate::outputs::examples;
use crate::text::characters;

/// Tasks whose scores are drawn; the table has all.
const DRAWN: usize = 8;
/// Rows shown at either end.
const SHOWN: usize = 8;
/// Rows that are read at a time.
const CHUNK: usize = 4096;

impl Found<'_> {
    /// The page, from `lines` and the finished record of the run.
    ///
    /// # Errors
    /// A row of the pool that can no longer be read.
    pub fn page(&self, lines: &[Line], record: &RunRecord) -> Result<Report> {
        let scores: Vec<Option<f64>> = lines.iter().map(|line| line.score).collect();
        let (high, low) = best_and_worst(&scores, SHOWN);
        let mut drawn = vec![ScoreColumn {
            name: "score".to_owned(),
            meaning: format!("What {} ranks by. {}", self.rule, self.meaning),
            values: scores,
        }];
        // Of a single task they are the same numbers, but for round-robin.
        drawn.extend(self.scores.tasks().take(DRAWN).map(|(task, columns)| ScoreColumn {
            name: task.to_owned(),
            meaning: format!("Mean over the task's {} targets.", columns.len()),
            values: lines.iter().map(|line| line.tasks.get(task).and_then(Value::as_f64)).collect(),
        }));
        let page = SelectionReport {
            title: self.title.to_owned(),
            lead: format!(
                "{} of {} rows of {} chosen for {} tasks by {}.",
                self.selection.count(),
                lines.len(),
                self.pool.path().display(),
                self.scores.tasks().len(),
                self.rule
            ),
            tiles: vec![Tile::new("Targets", self.scores.targets().len().to_string())],
            selected: lines.iter().map(|line| line.selected).collect(),
            reasons: lines.iter().map(|line| kind_of_reason(&line.reason)).collect(),
            scores: drawn,
            lengths: Some(Lengths { unit: "characters".to_owned(), values: self.lengths()? }),
            map: None,
            examples: vec![
                examples(self.pool, "Highest score", &high)?,
                examples(self.pool, "Lowest score", &low)?,
            ],
        };
        let mut page = page.build(record)?;
        page.section("Tasks").table("What each task got", self.tasks(lines));
        page.move_section("Tasks", 1);
        Ok(page)
    }

    fn tasks(&self, lines: &[Line]) -> Table {
        let mut table = Table::new()
            .column("task", Align::Left)
            .column("targets", Align::Right)
            .column("median score of the pool", Align::Right)
            .column("of the chosen", Align::Right)
            .column("chosen, their best task", Align::Right);
        for (task, columns) in self.scores.tasks() {
            let median = |chosen: bool| {
                let values = Self::of_task(lines, task, chosen);
                values.get(values.len() / 2).map_or(String::new(), |&value| format_number(value))
            };
            let best = lines.iter().filter(|l| l.selected && l.best_task.as_deref() == Some(task));
            let (targets, best) = (columns.len().to_string(), best.count().to_string());
            table.row([task.to_owned(), targets, median(false), median(true), best]);
        }
        table
    }

    fn lengths(&self) -> Result<Vec<usize>> {
        let mut lengths = Vec::with_capacity(self.pool.len());
        for first in (0..self.pool.len()).step_by(CHUNK) {
            let samples = self.pool.read_range(first..(first + CHUNK).min(self.pool.len()))?;
            lengths.extend(samples.iter().map(|sample| characters(&sample.content)));
        }
        Ok(lengths)
    }
}

/// A reason without the rank or turn, which is another for every row.
fn kind_of_reason(reason: &str) -> String {
    if let Some((_, task)) =
        reason.split_once(" of task ").filter(|(turn, _)| turn.starts_with("turn "))
    {
        let task = task.rsplit_once(", target ").map_or(task, |(task, _)| task);
        return format!("a turn of task {task}");
    }
    match reason.rsplit_once(", rank ") {
        Some((task, _)) => task.to_owned(),
        None if reason.starts_with("rank ") => "among the highest means over tasks".to_owned(),
        None => reason.to_owned(),
    }
}
