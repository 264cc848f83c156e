//! What `trace_pretraining` found, as lines and as a page.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use serde::Serialize;
use tamis::dataset::{Dataset, SampleId};
use tamis::influence::{Candidate, ScoreTable};
use tamis::metrics::spearman;
use tamis::report::{
    Lengths, Report, RunRecord, ScoreColumn, SelectionReport, Tile, best_and_worst,
};

use super::By;
use crate::outputs::examples;

/// Answers whose highest texts are shown one by one.
const SHOWN: usize = 6;

/// One line of `scores.jsonl`.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Id of the text.
    pub id: String,
    /// Its place in the file, from 0.
    pub index: usize,
    /// What it is ranked by; positive = the text made the answers likelier.
    pub score: Option<f64>,
    /// Its place in the ranking, from 1.
    pub rank: Option<usize>,
    /// Influence on each answer, by the answer's id.
    pub answers: BTreeMap<String, f32>,
    /// Norm of the text's gradient at the pre-trained model.
    pub norm: Option<f64>,
    /// Mean influence at the fine-tuned model alone, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_stage: Option<f64>,
    /// The same for each answer.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub last_stage_answers: BTreeMap<String, f32>,
    /// Whether it is in `selected.jsonl`.
    pub selected: bool,
    /// Why, or why not.
    pub reason: String,
}

/// Everything the method found.
#[derive(Debug)]
pub struct Found<'a> {
    /// The texts.
    pub texts: &'a Dataset,
    /// The answers with their ids.
    pub answers: &'a Dataset,
    /// Scores through both stages.
    pub table: &'a ScoreTable,
    /// Scores at the last stage alone, if asked for.
    pub last: Option<&'a ScoreTable>,
    /// What texts are ranked by.
    pub by: By,
    /// Texts to choose.
    pub budget: usize,
}

impl Found<'_> {
    /// The row of the file at this position of the texts.
    fn row(&self, position: usize) -> usize {
        self.texts.row(position).unwrap_or(position)
    }

    /// One line for every text that could be read, in the order of the file.
    pub fn lines(&self) -> Vec<Line> {
        let (candidates, count) = (&self.table.candidates, self.table.candidates.len());
        let mut order: Vec<usize> = (0..count).collect();
        let score = |n: usize| self.by.of(&candidates[n]);
        order.sort_by(|&a, &b| score(b).total_cmp(&score(a)).then(a.cmp(&b)));
        let mut ranks = vec![0; count];
        for (rank, &n) in (1..).zip(&order) {
            ranks[n] = rank;
        }
        let by_answer = |scores: &[f32]| -> BTreeMap<String, f32> {
            let ids = self.table.seeds.iter().map(SampleId::to_string);
            ids.zip(scores.iter().copied()).collect()
        };
        let last = self.last.iter().flat_map(|table| &table.candidates);
        let last: HashMap<&SampleId, &Candidate> = last.map(|c| (&c.info.id, c)).collect();
        let mut lines: Vec<Line> = Vec::with_capacity(self.texts.len());
        for (n, candidate) in candidates.iter().enumerate() {
            let answers = by_answer(&candidate.scores);
            let alone = last.get(&candidate.info.id);
            let (rank, selected) = (ranks[n], ranks[n] <= self.budget);
            let most = answers.iter().max_by(|a, b| a.1.total_cmp(b.1));
            let most = most.map_or(String::new(), |(id, _)| format!(", most on answer {id}"));
            let below = if selected { "" } else { ", below the budget" };
            lines.push(Line {
                id: candidate.info.id.to_string(),
                index: self.row(candidate.info.index),
                score: Some(score(n)),
                rank: Some(rank),
                answers,
                norm: Some(candidate.info.norm),
                last_stage: alone.map(|c| self.by.of(c)),
                last_stage_answers: alone.map(|c| by_answer(&c.scores)).unwrap_or_default(),
                selected,
                reason: format!("rank {rank} of {count}{most}{below}"),
            });
        }
        lines.extend(self.table.skipped.iter().map(|skipped| Line {
            id: skipped.id.to_string(),
            index: self.row(skipped.index),
            score: None,
            rank: None,
            answers: BTreeMap::new(),
            norm: None,
            last_stage: None,
            last_stage_answers: BTreeMap::new(),
            selected: false,
            reason: skipped.reason.to_string(),
        }));
        lines.sort_by_key(|line| line.index);
        lines
    }

    /// Puts counts, texts that could not be read, and what comparing the two stages shows into the
    /// record of the run.
    ///
    /// # Errors
    /// Scores that cannot be ranked.
    pub fn count(&self, lines: &[Line], record: &mut RunRecord) -> Result<()> {
        let rejects = self.texts.rejects();
        record.notes.extend(rejects.iter().map(|reject| format!("not read: {reject}")));
        for (name, count) in [
            ("read", self.texts.len() + rejects.len()),
            ("rejected", rejects.len() + self.table.skipped.len()),
            ("scored", self.table.candidates.len()),
            ("answers", self.table.seeds.len()),
            ("selected", lines.iter().filter(|l| l.selected).count()),
        ] {
            record.counts.set(name, count as u64);
        }
        record.notes.extend(self.comparison(lines)?);
        Ok(())
    }

    /// How far the last stage alone agrees.
    ///
    /// # Errors
    /// Scores that cannot be ranked.
    pub fn comparison(&self, lines: &[Line]) -> Result<Option<String>> {
        let pairs: Vec<(f64, f64)> =
            lines.iter().filter_map(|l| Some((l.score?, l.last_stage?))).collect();
        if pairs.is_empty() {
            return Ok(None);
        }
        let (both, last): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        let top = |values: &[f64]| -> HashSet<usize> {
            let values: Vec<Option<f64>> = values.iter().map(|&v| Some(v)).collect();
            best_and_worst(&values, self.budget).0.into_iter().collect()
        };
        let common = top(&both).intersection(&top(&last)).count();
        let correlation = spearman(&both, &last)?;
        let correlation = correlation.map_or("none".to_owned(), |r| format!("{r:.3}"));
        let budget = self.budget.min(both.len());
        Ok(Some(format!(
            "last stage alone: rank correlation {correlation} with both stages, {common} of the \
             {budget} highest are the same"
        )))
    }

    /// The page, from `lines` and the finished record of the run.
    ///
    /// # Errors
    /// A text that can no longer be read.
    pub fn page(&self, lines: &[Line], record: &RunRecord) -> Result<Report> {
        let scores: Vec<Option<f64>> = lines.iter().map(|l| l.score).collect();
        let (_, worst) = best_and_worst(&scores, 8);
        let mut shown = Vec::new();
        for (n, id) in self.table.seeds.iter().enumerate().take(SHOWN) {
            let answer = examples(self.answers, "", &[n])?.rows;
            let answer = answer.first().map_or(String::new(), |row| row.text.clone());
            let key = id.to_string();
            let own: Vec<Option<f64>> =
                lines.iter().map(|l| l.answers.get(&key).map(|&s| f64::from(s))).collect();
            let title = format!("Highest influence on answer {key}: {answer}");
            shown.push(examples(self.texts, &title, &best_and_worst(&own, 5).0)?);
        }
        shown.push(examples(self.texts, "Lowest mean influence", &worst)?);
        let name = match self.by {
            By::Influence => "mean influence",
            By::Normalised => "mean influence divided by the gradient's norm",
        };
        let mut ranked = vec![ScoreColumn {
            name: "score".to_owned(),
            meaning: format!("{name}, through both stages; positive = made the answers likelier."),
            values: scores,
        }];
        let mut tiles = vec![Tile::new("Answers", self.table.seeds.len().to_string())];
        if self.last.is_some() {
            ranked.push(ScoreColumn {
                name: "last_stage".to_owned(),
                meaning: "The same at the fine-tuned model alone.".to_owned(),
                values: lines.iter().map(|l| l.last_stage).collect(),
            });
            if let Some(said) = self.comparison(lines)? {
                tiles.push(Tile::new("Compared", said));
            }
        }
        let of: HashMap<usize, usize> = self
            .table
            .candidates
            .iter()
            .map(|c| (self.row(c.info.index), c.info.targets))
            .collect();
        let lengths = lines.iter().map(|l| of.get(&l.index).copied().unwrap_or(0)).collect();
        let page = SelectionReport {
            title: "Pre-training texts behind answers".to_owned(),
            lead: format!(
                "{} texts of {} with the highest {name} on {} answers of the fine-tuned model.",
                lines.iter().filter(|l| l.selected).count(),
                self.texts.path().display(),
                self.table.seeds.len()
            ),
            tiles,
            selected: lines.iter().map(|l| l.selected).collect(),
            reasons: lines.iter().map(|l| l.reason.clone()).collect(),
            scores: ranked,
            lengths: Some(Lengths { unit: "target tokens".to_owned(), values: lengths }),
            map: None,
            examples: shown,
        };
        Ok(page.build(record)?)
    }
}
