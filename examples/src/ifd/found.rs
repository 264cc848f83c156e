//! What `ifd` found, as lines and as a page.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;
use tamis::dataset::Dataset;
use tamis::ifd_scoring::{Measure, Measured, SampleScores, Term};
use tamis::report::{
    Align, Lengths, Report, RunRecord, ScoreColumn, SelectionReport, Table, Tile, best_and_worst,
    format_number,
};
use tamis::selection::Selection;

use super::Flags;
use crate::outputs::examples;

/// One line of `scores.jsonl`.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Id of the row.
    pub id: String,
    /// Its place in the pool, from 0.
    pub index: usize,
    /// Perplexity of the answer after its instruction.
    pub ppl_cond: Option<f64>,
    /// Perplexity of the answer alone.
    pub ppl_direct: Option<f64>,
    /// Instruction-following difficulty.
    pub ifd: Option<f64>,
    /// Its reverse.
    pub r_ifd: Option<f64>,
    /// Perplexity of the instruction after the request to guess it; where r-IFD was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r_ppl_cond: Option<f64>,
    /// Perplexity of the instruction alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r_ppl_direct: Option<f64>,
    /// Tokens of the answer that were scored.
    pub targets: Option<usize>,
    /// Its group, if rows were told apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Whether it was chosen.
    pub selected: bool,
    /// Why it was chosen, or why not.
    pub reason: String,
    /// Why there is no `ifd`, `ppl_cond` or `ppl_direct` where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ifd_reason: Option<String>,
    /// Why there is no `r_ifd`, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r_ifd_reason: Option<String>,
}

/// Everything the method found.
#[derive(Debug)]
pub struct Found<'a> {
    /// What was asked for.
    pub flags: &'a Flags,
    /// The pool.
    pub pool: &'a Dataset,
    /// Scores of all rows.
    pub scores: &'a [SampleScores],
    /// Their groups.
    pub groups: &'a [Option<String>],
}

impl Found<'_> {
    /// One line for every row of the pool that could be read, in its order.
    pub fn lines(&self, selection: &Selection) -> Vec<Line> {
        let rows = self.scores.iter().zip(self.groups).zip(selection.decisions());
        rows.map(|((sample, group), decision)| Line {
            id: sample.id.to_string(),
            index: sample.index,
            ppl_cond: sample.ppl_cond().value(),
            ppl_direct: sample.ppl_direct().value(),
            ifd: sample.ifd().value(),
            r_ifd: sample.r_ifd().value(),
            r_ppl_cond: perplexity(&sample.instruction.conditional),
            r_ppl_direct: perplexity(&sample.instruction.direct),
            targets: sample.answer.conditional.value().map(|term| term.targets),
            group: group.clone(),
            selected: decision.selected,
            reason: decision.reason,
            ifd_reason: ifd_reason(sample),
            r_ifd_reason: sample.r_ifd().reason().map(ToString::to_string),
        })
        .collect()
    }

    /// Puts counts and rows that could not be read into the record of the run.
    pub fn count(&self, lines: &[Line], budget: usize, record: &mut RunRecord) {
        let rejects = self.pool.rejects();
        record.notes.extend(rejects.iter().map(|reject| format!("not read: {reject}")));
        let of = |test: fn(&Line) -> bool| lines.iter().filter(|line| test(line)).count();
        let scored = self.scored();
        for (name, count) in [
            ("read", self.pool.len() + rejects.len()),
            ("rejected", rejects.len() + lines.len() - scored),
            ("scored", scored),
            ("ifd_below_one", of(|l| l.ifd.is_some_and(|ifd| ifd < 1.0))),
            ("budget", budget),
            ("selected", of(|l| l.selected)),
        ] {
            record.counts.set(name, count as u64);
        }
    }

    /// Rows with the score that ranks them.
    fn scored(&self) -> usize {
        let rank = self.flags.rank;
        self.scores.iter().filter(|s| s.measure(rank).value().is_some()).count()
    }

    /// What happened, in two lines.
    pub fn summary(&self, lines: &[Line], budget: usize) -> String {
        let rank = self.flags.rank;
        let mut values: Vec<f64> =
            self.scores.iter().filter_map(|s| s.measure(rank).value()).collect();
        values.sort_by(f64::total_cmp);
        let chosen = lines.iter().filter(|line| line.selected).count();
        let at = |share: f64| {
            let place = (share * values.len().saturating_sub(1) as f64).round() as usize;
            values.get(place).map_or("-".to_owned(), |&value| format_number(value))
        };
        format!(
            "{} rows, {} scored, {} without a score, {chosen} chosen of {budget} to take\n\
             {rank}: least {}, quartiles {} {} {}, greatest {}",
            lines.len(),
            values.len(),
            lines.len() - values.len(),
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
        let rank = self.flags.rank;
        let values = |measure: Measure| -> Vec<Option<f64>> {
            self.scores.iter().map(|s| s.measure(measure).value()).collect()
        };
        let (high, low) = best_and_worst(&values(rank), 8);
        let of = |test: fn(&Line) -> bool| lines.iter().filter(|line| test(line)).count();
        let mut measures = vec![rank];
        measures.extend(Measure::ALL.into_iter().rev().filter(|&measure| measure != rank));
        let asked = |measure: &Measure| values(*measure).iter().any(Option::is_some);
        let scores = measures.into_iter().filter(asked).map(|measure| ScoreColumn {
            name: measure.to_string(),
            meaning: meaning(measure).to_owned(),
            values: values(measure),
        });
        let first = if self.flags.lowest_first { "lowest" } else { "highest" };
        let page = SelectionReport {
            title: "IFD selection".to_owned(),
            lead: format!(
                "{} rows chosen from {} by {rank}, {first} first, scored as in the preset {} by the \
                 model in {}.",
                of(|l| l.selected),
                self.pool.path().display(),
                self.flags.preset,
                self.flags.model.model.display()
            ),
            tiles: vec![
                Tile::new("Scored", self.scored().to_string()),
                Tile::new("IFD of 1 and more", of(|l| l.ifd.is_some_and(|i| i >= 1.0)).to_string()),
            ],
            selected: lines.iter().map(|l| l.selected).collect(),
            reasons: lines.iter().map(kind_of_reason).collect(),
            scores: scores.collect(),
            lengths: Some(Lengths {
                unit: "target tokens".to_owned(),
                values: lines.iter().map(|l| l.targets.unwrap_or(0)).collect(),
            }),
            map: None,
            examples: vec![
                examples(self.pool, &format!("Highest {rank}"), &high)?,
                examples(self.pool, &format!("Lowest {rank}"), &low)?,
            ],
        };
        let mut page = page.build(record)?;
        if self.flags.group_field.is_some() {
            page.section("Groups").table("Rows of each group", self.groups(lines));
            page.move_section("Groups", 2);
        }
        Ok(page)
    }

    /// How many of each group there are, with which scores, and how many were chosen.
    fn groups(&self, lines: &[Line]) -> Table {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (n, line) in lines.iter().enumerate() {
            members.entry(line.group.as_deref().unwrap_or("(none)")).or_default().push(n);
        }
        let rank = self.flags.rank;
        let mut table = Table::new()
            .column("group", Align::Left)
            .column("rows", Align::Right)
            .column(format!("median {rank}"), Align::Right)
            .column("chosen", Align::Right);
        for (group, own) in members {
            let mut values: Vec<f64> =
                own.iter().filter_map(|&n| self.scores[n].measure(rank).value()).collect();
            values.sort_by(f64::total_cmp);
            let median = values.get(values.len() / 2).map_or(String::new(), |&v| format_number(v));
            let chosen = own.iter().filter(|&&n| lines[n].selected).count();
            table.row([group.to_owned(), own.len().to_string(), median, chosen.to_string()]);
        }
        table
    }
}

/// Why the answer lacks a score that was asked for.
fn ifd_reason(sample: &SampleScores) -> Option<String> {
    let scores = [sample.ifd(), sample.ppl_cond(), sample.ppl_direct()];
    scores.iter().find_map(|score| score.reason().map(ToString::to_string))
}

/// exp(L).
fn perplexity(term: &Measured<Term>) -> Option<f64> {
    term.value().map(|term| term.loss.exp()).filter(|ppl| ppl.is_finite())
}

/// A reason without the place in the ranking, which is another for every row.
fn kind_of_reason(line: &Line) -> String {
    match line.reason.split_once("number ") {
        Some((before, _)) if !before.is_empty() => before.trim_end_matches([':', ' ']).to_owned(),
        Some(_) => "beyond the rows taken".to_owned(),
        None => line.reason.clone(),
    }
}

fn meaning(measure: Measure) -> &'static str {
    match measure {
        Measure::PplCond => "Perplexity of the answer after its instruction.",
        Measure::PplDirect => "Perplexity of the answer alone.",
        Measure::Ifd => {
            "Instruction-following difficulty; high but below 1: there is something to learn."
        }
        Measure::RIfd => "Reversed IFD; low: the answer tells what was asked.",
    }
}
