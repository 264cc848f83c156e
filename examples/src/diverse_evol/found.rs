//! What `diverse_evol` found, as lines and as a page.

use anyhow::Result;
use serde::Serialize;
use tamis::diverse_evol::{Evolution, Picked, Round, Strategy};
use tamis::report::{
    Align, Lengths, LinePlot, Report, RunRecord, ScoreColumn, SelectionReport, Table, Tile,
    format_number, format_seconds,
};

use super::{Candidates, Flags};
use crate::outputs::examples;

/// Rows that the page shows of a group.
const SHOWN: usize = 8;

/// One line of `scores.jsonl`.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Id of the row.
    pub id: String,
    /// Its place in the pool, from 0.
    pub index: usize,
    /// The round that chose it; 0 is the first draw.
    pub round: Option<usize>,
    /// How many rows were chosen before it.
    pub order: Option<usize>,
    /// k-center: its distance from the nearest row chosen before it, seen with its round's model.
    pub radius: Option<f64>,
    /// k-means: its distance from its cluster's centre; uncertainty: its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether it was chosen.
    pub selected: bool,
    /// Why, or why not.
    pub reason: String,
}

/// One line of `rounds.jsonl`.
#[derive(Debug, Serialize)]
pub struct RoundLine {
    /// The round, from 0.
    pub round: usize,
    /// Rows in its training set.
    pub size: usize,
    /// Mean loss of the last epoch, nats per target token.
    pub train_loss: Option<f64>,
    /// Loss of its model on the held-out rows, nats per target token.
    pub held_out_loss: Option<f64>,
    /// Greatest distance of a row from the nearest row of the training set, seen with the model of
    /// the round before.
    pub radius: Option<f64>,
    /// The same without the rows of this round.
    pub radius_before: Option<f64>,
    /// BLAKE3 of its model's folder.
    pub model: Option<String>,
    /// Wall-clock time of its stages.
    pub seconds: f64,
}

/// Everything the method found.
#[derive(Debug)]
pub struct Found<'a> {
    /// What was asked for.
    pub flags: &'a Flags,
    /// The rows.
    pub pool: &'a Candidates<'a>,
    /// What was chosen.
    pub grown: &'a Evolution,
}

impl Found<'_> {
    /// One line for every row of the pool that could be read, in its order.
    ///
    /// # Errors
    /// Choices that do not belong to the pool.
    pub fn lines(&self) -> Result<Vec<Line>> {
        let mut lines: Vec<(usize, Line)> = Vec::with_capacity(self.pool.dataset.len());
        let none = |id: String, index: usize, reason: String| Line {
            id,
            index,
            round: None,
            order: None,
            radius: None,
            score: None,
            selected: false,
            reason,
        };
        let selection = self.grown.selection(self.pool.ids.len())?;
        let positions = self.pool.rows.positions();
        for (n, decision) in selection.decisions().enumerate() {
            let id = self.pool.ids[n].to_string();
            let line = none(id, self.pool.indices[n], decision.reason);
            lines.push((positions[n], line));
        }
        for (round, pick) in self.picks() {
            let line = &mut lines[pick.index].1;
            (line.round, line.order) = (Some(round), Some(pick.order));
            (line.radius, line.score) = (pick.radius, pick.score);
            line.selected = true;
        }
        for (position, id, index, reason) in &self.pool.left_out {
            lines.push((*position, none(id.to_string(), *index, format!("left out: {reason}"))));
        }
        lines.sort_by_key(|(position, _)| *position);
        Ok(lines.into_iter().map(|(_, line)| line).collect())
    }

    fn picks(&self) -> impl Iterator<Item = (usize, &Picked)> {
        let rounds = self.grown.rounds.iter();
        rounds.flat_map(|round| round.picks.iter().map(move |pick| (round.round, pick)))
    }

    /// One line for every round.
    pub fn rounds(&self) -> Vec<RoundLine> {
        let line = |round: &Round| RoundLine {
            round: round.round,
            size: round.size,
            train_loss: round.metrics.get("train_loss").copied(),
            held_out_loss: round.metrics.get("held_out_loss").copied(),
            radius: round.radius_after,
            radius_before: round.radius_before,
            model: round.model.clone(),
            seconds: (round.seconds.total() * 1000.0).round() / 1000.0,
        };
        self.grown.rounds.iter().map(line).collect()
    }

    /// What happened, in a few lines.
    pub fn summary(&self) -> String {
        let rounds = self.rounds();
        let mut text = format!(
            "{} of {} rows chosen by {} in rounds 0 to {}",
            self.grown.picks().count(),
            self.pool.ids.len(),
            self.flags.strategy,
            self.flags.rounds
        );
        let mut ends = |what: &str, of: fn(&RoundLine) -> Option<f64>| {
            let values: Vec<f64> = rounds.iter().filter_map(of).collect();
            if let (Some(first), Some(last)) = (values.first(), values.last()) {
                let told = format!("\n{what}: {first:.4} at first, {last:.4} in the end");
                text.push_str(&told);
            }
        };
        ends("held-out loss", |line| line.held_out_loss);
        // Models see other distances, so that these may grow although the set does.
        let radius = match self.flags.strategy {
            Strategy::OneShotKCenter => "coverage radius",
            _ => "coverage radius, each round's seen with its own model",
        };
        ends(radius, |line| line.radius);
        text
    }

    /// The report.
    ///
    /// # Errors
    /// Rows that can no longer be read.
    pub fn page(&self, record: &RunRecord) -> Result<Report> {
        let candidates = self.pool.ids.len();
        let mut by_round = vec![None; candidates];
        let (mut radii, mut scores) = (vec![None; candidates], vec![None; candidates]);
        for (round, pick) in self.picks() {
            by_round[pick.index] = Some(round as f64);
            (radii[pick.index], scores[pick.index]) = (pick.radius, pick.score);
        }
        let rounds = self.rounds();
        let last = rounds.iter().rev().find_map(|line| line.held_out_loss);
        let first = rounds.iter().find_map(|line| line.held_out_loss);
        let mut tiles = Vec::new();
        if let (Some(first), Some(last)) = (first, last) {
            let tile = Tile::new("Held-out loss, last model", format!("{last:.3}"));
            tiles.push(tile.detail(format!("first model {first:.3}")));
        }
        if let Some(radius) = rounds.iter().rev().find_map(|line| line.radius) {
            tiles.push(Tile::new("Coverage radius", format_number(radius)));
        }
        let score = |name: &str, meaning: &str, values: Vec<Option<f64>>| ScoreColumn {
            name: name.to_owned(),
            meaning: meaning.to_owned(),
            values,
        };
        let strategy = self.flags.strategy;
        let mut shown = Vec::new();
        if radii.iter().any(Option::is_some) {
            let meaning = "Distance from the nearest row chosen before, seen with the model of its \
                           round. Distances of different rounds are measured by different models.";
            shown.push(score("radius", meaning, radii));
        }
        if scores.iter().any(Option::is_some) {
            let meaning = match strategy {
                Strategy::KMeans => "Distance from the centre of its cluster.",
                _ => "How unsure the model of its round was of the answer.",
            };
            shown.push(score("score", meaning, scores));
        }
        shown.push(score("round", "The round that chose a row.", by_round));
        let selection = self.grown.selection(self.pool.ids.len())?;
        let mut groups = Vec::new();
        for round in [self.grown.rounds.get(1), self.grown.rounds.last()].into_iter().flatten() {
            let some = round.picks.iter().take(SHOWN).map(|pick| pick.index);
            let some: Vec<usize> = some.collect();
            let positions: Vec<usize> =
                some.iter().map(|&n| self.pool.rows.positions()[n]).collect();
            let title = format!("First choices of round {}", round.round);
            let mut group = examples(self.pool.dataset, &title, &positions)?;
            // The page counts candidates.
            group.rows.iter_mut().zip(some).for_each(|(row, n)| row.row = n);
            groups.push(group);
        }
        groups.dedup_by(|a, b| a.title == b.title);
        let page = SelectionReport {
            title: "DiverseEvol".to_owned(),
            lead: format!(
                "{} rows drawn at random, then {} rounds of {} rows chosen by {strategy} out of \
                 {candidates}{}.",
                self.flags.initial,
                self.flags.rounds,
                self.flags.per_round,
                if strategy.needs_training() {
                    "; every round looked at them with a model trained afresh on all rows chosen \
                     before it"
                } else {
                    ""
                }
            ),
            tiles,
            selected: selection.decisions().map(|decision| decision.selected).collect(),
            reasons: selection.decisions().map(|decision| decision.reason).collect(),
            scores: shown,
            lengths: Some(Lengths { unit: "tokens".to_owned(), values: self.pool.lengths.clone() }),
            map: None,
            examples: groups,
        };
        let mut report = page.build(record)?;
        rounds_section(&mut report, &rounds);
        report.move_section("Rounds", 1);
        Ok(report)
    }
}

/// Losses and radii over the size of the training set, and a table.
fn rounds_section(report: &mut Report, rounds: &[RoundLine]) {
    let section = report.section("Rounds");
    let points = |of: fn(&RoundLine) -> Option<f64>| -> Vec<[f64; 2]> {
        rounds.iter().filter_map(|line| Some([line.size as f64, of(line)?])).collect()
    };
    let (training, held_out) = (points(|l| l.train_loss), points(|l| l.held_out_loss));
    if training.len() + held_out.len() > 0 {
        let mut plot = LinePlot::new("Loss", "rows in the training set", "nats per target token");
        for (name, points) in [("held out", held_out), ("training, last epoch", training)] {
            if !points.is_empty() {
                plot = plot.series(name, points);
            }
        }
        section.plot(plot);
    }
    let (before, after) = (points(|l| l.radius_before), points(|l| l.radius));
    if !after.is_empty() {
        let plot = LinePlot::new("Coverage radius", "rows in the training set", "distance")
            .series("with the rows of the round", after)
            .series("without them", before)
            .caption("Each round is seen with the model of the round before.");
        section.plot(plot);
    }
    let columns = ["round", "rows", "training loss", "held-out loss", "radius", "time"];
    let mut table = Table::new();
    for column in columns {
        table = table.column(column, Align::Right);
    }
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.4}"));
    for line in rounds {
        table.row([
            line.round.to_string(),
            line.size.to_string(),
            number(line.train_loss),
            number(line.held_out_loss),
            number(line.radius),
            format_seconds(line.seconds),
        ]);
    }
    section.table("Rounds", table);
}
