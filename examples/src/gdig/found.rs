//! What `gdig` found, as lines and as a page.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use serde::Serialize;
use tamis::clustering::KMeansFit;
use tamis::dataset::Dataset;
use tamis::gradients::GradientVectors;
use tamis::influence::{Helpful, ScoreTable};
use tamis::report::{
    Lengths, LinePlot, Map, Report, RunRecord, ScoreColumn, SelectionReport, Tile, best_and_worst,
    principal_plane,
};

use crate::outputs::examples;

/// One line of `scores.jsonl`.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Id of the row.
    pub id: String,
    /// Its place in the pool, from 0.
    pub index: usize,
    /// Mean influence over the seeds; positive = helpful.
    pub mean: Option<f64>,
    /// The mean divided by the candidate's gradient norm.
    pub mean_normalised: Option<f64>,
    /// Smallest influence on any seed.
    pub min: Option<f64>,
    /// Share of the seeds helped.
    pub share_helped: Option<f64>,
    /// Its cluster, if it is helpful.
    pub cluster: Option<usize>,
    /// Whether it was chosen.
    pub selected: bool,
    /// Why, or why not.
    pub reason: String,
}

/// Everything the method found.
#[derive(Debug)]
pub struct Found<'a> {
    /// The pool.
    pub pool: &'a Dataset,
    /// Scores of all candidates.
    pub table: &'a ScoreTable,
    /// Those that help.
    pub helpful: &'a Helpful,
    /// Their gradients, projected.
    pub rows: &'a GradientVectors,
    /// Clusters of these.
    pub clusters: &'a KMeansFit,
    /// Rows of `rows` that were drawn.
    pub drawn: &'a [usize],
    /// Loss of every step of the adaptation.
    pub losses: &'a [f64],
}

impl Found<'_> {
    /// The row of the file at this position of the pool.
    fn row(&self, position: usize) -> usize {
        self.pool.row(position).unwrap_or(position)
    }

    /// One line for every row of the pool that could be read, in its order.
    pub fn lines(&self) -> Vec<Line> {
        let drawn: HashSet<usize> = self.drawn.iter().copied().collect();
        let row_of: HashMap<usize, usize> =
            self.helpful.positions.iter().enumerate().map(|(row, &p)| (p, row)).collect();
        let mut lines: Vec<Line> = Vec::with_capacity(self.pool.len());
        for (position, candidate) in self.table.candidates.iter().enumerate() {
            let row = row_of.get(&position).copied();
            let cluster = row.map(|row| self.clusters.labels[row]);
            let selected = row.is_some_and(|row| drawn.contains(&row));
            let reason = match cluster {
                None => format!("not helpful: {}", self.helpful.used),
                Some(cluster) if selected => format!("helpful, drawn from cluster {cluster}"),
                Some(cluster) => format!("helpful, not drawn from cluster {cluster}"),
            };
            lines.push(Line {
                id: candidate.info.id.to_string(),
                index: self.row(candidate.info.index),
                mean: Some(candidate.mean()),
                mean_normalised: Some(candidate.mean_normalised()),
                min: Some(candidate.min()),
                share_helped: Some(candidate.share_helped()),
                cluster,
                selected,
                reason,
            });
        }
        lines.extend(self.table.skipped.iter().map(|skipped| Line {
            id: skipped.id.to_string(),
            index: self.row(skipped.index),
            mean: None,
            mean_normalised: None,
            min: None,
            share_helped: None,
            cluster: None,
            selected: false,
            reason: skipped.reason.to_string(),
        }));
        lines.sort_by_key(|line| line.index);
        lines
    }

    /// Puts counts, relaxations and rows that could not be read into the record of the run.
    pub fn count(&self, record: &mut RunRecord) {
        let rejects = self.pool.rejects();
        record.notes.extend(rejects.iter().map(|reject| format!("not read: {reject}")));
        if self.helpful.relaxed {
            record.relaxations.push(self.helpful.used.clone());
        }
        for (name, count) in [
            ("read", self.pool.len() + rejects.len()),
            ("rejected", rejects.len() + self.table.skipped.len()),
            ("scored", self.table.candidates.len()),
            ("helping_every_seed", self.helpful.helping_all),
            ("helpful", self.helpful.positions.len()),
            ("clusters", self.clusters.centroids.nrows()),
            ("selected", self.drawn.len()),
        ] {
            record.counts.set(name, count as u64);
        }
    }

    /// The page, from `lines` and the finished record of the run.
    ///
    /// # Errors
    /// A row of the pool that can no longer be read.
    pub fn page(&self, lines: &[Line], record: &RunRecord) -> Result<Report> {
        let score = |name: &str, meaning: &str, of: fn(&Line) -> Option<f64>| ScoreColumn {
            name: name.to_owned(),
            meaning: meaning.to_owned(),
            values: lines.iter().map(of).collect(),
        };
        let normalised: Vec<Option<f64>> = lines.iter().map(|l| l.mean_normalised).collect();
        let (best, worst) = best_and_worst(&normalised, 8);
        let (helpful, clusters) = (self.helpful, self.clusters.centroids.nrows());
        let page = SelectionReport {
            title: "G-DIG selection".to_owned(),
            lead: format!(
                "{} rows chosen from {} by gradients: helpful to {} seeds, then drawn evenly over \
                 {clusters} clusters. Rule: {}.",
                self.drawn.len(),
                self.pool.path().display(),
                self.table.seeds.len(),
                helpful.used
            ),
            tiles: vec![
                Tile::new("Helpful", helpful.positions.len().to_string()),
                Tile::new("Help every seed", helpful.helping_all.to_string()),
                Tile::new("Clusters", clusters.to_string()),
            ],
            selected: lines.iter().map(|l| l.selected).collect(),
            reasons: lines.iter().map(|l| l.reason.clone()).collect(),
            scores: vec![
                score("share_helped", "Share of the seeds it helps.", |l| l.share_helped),
                score(
                    "mean_normalised",
                    "Mean influence divided by the candidate's gradient norm; positive = helpful.",
                    |l| l.mean_normalised,
                ),
                score("mean", "Mean influence on the seeds; positive = helpful.", |l| l.mean),
            ],
            lengths: Some(self.lengths(lines)),
            map: Some(self.map(lines)?),
            examples: vec![
                examples(self.pool, "Highest normalised mean influence", &best)?,
                examples(self.pool, "Lowest normalised mean influence", &worst)?,
            ],
        };
        let mut page = page.build(record)?;
        if !self.losses.is_empty() {
            let steps = (1u32..).zip(self.losses).map(|(step, &loss)| [f64::from(step), loss]);
            let plot = LinePlot::new("Loss while adapting", "step", "nats per target token");
            page.section("Adaptation").plot(plot.series("loss", steps));
        }
        Ok(page)
    }

    fn lengths(&self, lines: &[Line]) -> Lengths {
        let of: HashMap<usize, usize> = self
            .table
            .candidates
            .iter()
            .map(|c| (self.row(c.info.index), c.info.targets))
            .collect();
        let values = lines.iter().map(|l| of.get(&l.index).copied().unwrap_or(0)).collect();
        Lengths { unit: "target tokens".to_owned(), values }
    }

    fn map(&self, lines: &[Line]) -> Result<Map> {
        let position: HashMap<usize, usize> =
            lines.iter().enumerate().map(|(n, line)| (line.index, n)).collect();
        let indices = self.helpful.positions.iter();
        let indices = indices.map(|&p| self.row(self.table.candidates[p].info.index));
        let plane = principal_plane(self.rows)?;
        Ok(Map {
            rows: indices.filter_map(|index| position.get(&index).copied()).collect(),
            points: plane.points,
            clusters: self.clusters.labels.clone(),
            explained: Some(plane.explained),
            caption: "Projected gradients of the helpful candidates.".to_owned(),
        })
    }
}
