//! What `nuggets` found, as lines and as a page.

use anyhow::Result;
use serde::Serialize;
use tamis::dataset::Dataset;
use tamis::nuggets::{Golden, GoldenRule, GoldenScores};
use tamis::report::{
    Align, Lengths, Report, RunRecord, ScoreColumn, SelectionReport, Table, Tile, best_and_worst,
    format_number,
};
use tamis::selection::Selection;

use super::Flags;
use crate::outputs::examples;
use crate::text::characters;

/// Rows of a group of examples.
const SHOWN: usize = 8;
/// Rows that are read at a time.
const CHUNK: usize = 4096;

/// One line of `scores.jsonl`.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Id of the row.
    pub id: String,
    /// Its place in the pool, from 0.
    pub index: usize,
    /// Share of the anchors that it helps with.
    pub golden_score: Option<f64>,
    /// By how much the log-probability of an anchor's token rises, on average, in nats.
    pub mean_rise: Option<f64>,
    /// Anchors counted; one less where the row is an anchor itself.
    pub anchors: Option<usize>,
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
    /// Rises of all rows.
    pub scores: &'a GoldenScores,
    /// What chose.
    pub rule: GoldenRule,
}

impl Found<'_> {
    /// One line for every row of the pool that could be read, in its order.
    pub fn lines(&self, selection: &Selection) -> Vec<Line> {
        let rows = self.scores.candidates().iter().zip(selection.decisions());
        rows.map(|(candidate, decision)| {
            let golden = self.rule.golden(candidate);
            Line {
                id: candidate.id.to_string(),
                index: candidate.index,
                golden_score: golden.map(|golden| golden.score),
                mean_rise: golden.map(|golden| golden.mean_rise),
                anchors: golden.map(|golden| golden.anchors),
                selected: decision.selected,
                reason: decision.reason,
            }
        })
        .collect()
    }

    /// Puts counts and rows that could not be read into the record of the run.
    pub fn count(&self, lines: &[Line], record: &mut RunRecord) {
        let rejects = self.pool.rejects();
        record.notes.extend(rejects.iter().map(|reject| format!("not read: {reject}")));
        let scored = self.golden().len();
        for (name, count) in [
            ("read", self.pool.len() + rejects.len()),
            ("rejected", rejects.len() + lines.len() - scored),
            ("scored", scored),
            ("anchors", self.scores.anchors().len()),
            ("budget", self.flags.budget.unwrap_or(lines.len())),
            ("selected", lines.iter().filter(|line| line.selected).count()),
        ] {
            record.counts.set(name, count as u64);
        }
    }

    fn golden(&self) -> Vec<Golden> {
        self.scores.candidates().iter().filter_map(|c| self.rule.golden(c)).collect()
    }

    /// What happened, in two lines.
    pub fn summary(&self, lines: &[Line]) -> String {
        let mut values: Vec<f64> = self.golden().iter().map(|golden| golden.score).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = (share * values.len().saturating_sub(1) as f64).round() as usize;
            values.get(place).map_or("-".to_owned(), |&value| format_number(value))
        };
        format!(
            "{} rows, {} scored by {} anchors, {} without a score, {} chosen\n\
             golden score: least {}, quartiles {} {} {}, greatest {}",
            lines.len(),
            values.len(),
            self.scores.anchors().len(),
            lines.len() - values.len(),
            lines.iter().filter(|line| line.selected).count(),
            at(0.0),
            at(0.25),
            at(0.5),
            at(0.75),
            at(1.0)
        )
    }

    /// The page, from `lines` and the finished record of the run.
    ///
    /// # Errors
    /// A row of the pool that can no longer be read.
    pub fn page(&self, lines: &[Line], record: &RunRecord) -> Result<Report> {
        let golden: Vec<Option<f64>> = lines.iter().map(|line| line.golden_score).collect();
        let rises: Vec<Option<f64>> = lines.iter().map(|line| line.mean_rise).collect();
        // Many rows have one score: those with the highest rise are the ones to look at.
        let both = golden.iter().zip(&rises).map(|(g, r)| Some((*g)? + 1e-6 * r.as_ref()?));
        let (high, low) = best_and_worst(&both.collect::<Vec<_>>(), SHOWN);
        let mut lengths = Vec::with_capacity(lines.len());
        for first in (0..self.pool.len()).step_by(CHUNK) {
            let rows = self.pool.read_range(first..(first + CHUNK).min(self.pool.len()))?;
            lengths.extend(rows.iter().map(|row| characters(&row.content)));
        }
        let chosen = lines.iter().filter(|line| line.selected).count();
        let helped = rises.iter().flatten().filter(|&&rise| rise > 0.0).count();
        let page = SelectionReport {
            title: "Nuggets selection".to_owned(),
            lead: format!(
                "{chosen} rows chosen from {} by golden score: the share of {} anchors that a row \
                 helps the model in {} with as a one-shot example.",
                self.pool.path().display(),
                self.scores.anchors().len(),
                self.flags.model.model.display()
            ),
            tiles: vec![
                Tile::new("Scored", self.golden().len().to_string()),
                Tile::new("Anchors", self.scores.anchors().len().to_string()),
                Tile::new("Helpful on average", helped.to_string()),
            ],
            selected: lines.iter().map(|line| line.selected).collect(),
            reasons: lines.iter().map(kind_of_reason).collect(),
            scores: vec![
                ScoreColumn {
                    name: "golden_score".to_owned(),
                    meaning: "Share of the anchors whose answer becomes more probable; higher is \
                              better."
                        .to_owned(),
                    values: golden,
                },
                ScoreColumn {
                    name: "mean_rise".to_owned(),
                    meaning: "Mean rise of the log-probability of an anchor's token, in nats; it \
                              does not decide."
                        .to_owned(),
                    values: rises,
                },
            ],
            lengths: Some(Lengths { unit: "characters".to_owned(), values: lengths }),
            map: None,
            examples: vec![
                examples(self.pool, "Highest golden score", &high)?,
                examples(self.pool, "Lowest golden score", &low)?,
            ],
        };
        let mut page = page.build(record)?;
        page.section("Anchors").table("What rows do for each anchor", self.anchors());
        Ok(page)
    }

    /// How many rows help with each anchor, and how much.
    fn anchors(&self) -> Table {
        let mut table = Table::new()
            .column("anchor", Align::Left)
            .column("tokens of its answer", Align::Right)
            .column("log-probability alone", Align::Right)
            .column("share of rows that help", Align::Right)
            .column("mean rise", Align::Right);
        for (number, anchor) in self.scores.anchors().iter().enumerate() {
            let rises: Vec<f64> = self
                .scores
                .candidates()
                .iter()
                .filter(|candidate| !candidate.own.contains(&number))
                .filter_map(|candidate| candidate.rises.as_ref().ok()?.get(number).copied())
                .collect();
            let count = rises.len().max(1) as f64;
            let up = rises.iter().filter(|&&rise| rise > 0.0).count() as f64;
            table.row([
                anchor.id.to_string(),
                anchor.targets.to_string(),
                format_number(anchor.zero_shot),
                format_number(up / count),
                format_number(rises.iter().sum::<f64>() / count),
            ]);
        }
        table
    }
}

/// A reason without the score and the place in the ranking, which are others for every row.
fn kind_of_reason(line: &Line) -> String {
    match line.golden_score {
        Some(_) if line.selected => "chosen by golden score".to_owned(),
        Some(_) if line.reason.contains("below") => "golden score below the threshold".to_owned(),
        Some(_) => "golden score beyond the budget".to_owned(),
        None if line.reason.contains(" tokens with `") => {
            "no golden score: too long before an anchor".to_owned()
        }
        None => line.reason.clone(),
    }
}
