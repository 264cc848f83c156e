//! What `lds` found: a table, `lds.json`, a page and the record of the run.

use anyhow::Result;
use serde::Serialize;
use tamis::artifact::write_atomic;
use tamis::metrics::{Comparison, Lds, retraining_agreement};
use tamis::report::{Align, Report, RunRecord, Table, write_jsonl};

use super::{Flags, Strategy};
use crate::{begin_results, end_results, say_results};

/// A strategy and how good it is.
#[derive(Clone, Debug, Serialize)]
pub struct Scored {
    /// The strategy.
    pub strategy: Strategy,
    /// Seconds that scoring took, a curvature's fit with it.
    pub seconds: f64,
    /// Its score, interval, and the scores of the queries.
    #[serde(flatten)]
    pub lds: Lds,
    /// Against the strategy before it, on the same draws; none for the first.
    pub against_previous: Option<Comparison>,
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Results {
    /// Samples of the pool.
    pub samples: usize,
    /// Ids of the queries, in the order of their scores.
    pub queries: Vec<String>,
    /// Halves.
    pub subsets: usize,
    /// Trainings on each.
    pub repeats: usize,
    /// How far two trainings on the same halves agree; only where there are two or more.
    pub agreement: Option<f64>,
    /// About the highest score there could be, √ of the reliability of the mean over the repeats.
    pub ceiling: Option<f64>,
    /// By strategy.
    pub strategies: Vec<Scored>,
}

impl Results {
    /// What the repeats say of each other.
    ///
    /// # Errors
    /// Losses that do not vary.
    pub fn ceiling(repeats: &[Vec<Vec<f64>>]) -> Result<(Option<f64>, Option<f64>)> {
        if repeats.len() < 2 {
            return Ok((None, None));
        }
        let (agreement, k) = (retraining_agreement(repeats)?, repeats.len() as f64);
        let reliability = k * agreement / (1.0 + (k - 1.0) * agreement);
        Ok((Some(agreement), Some(reliability.max(0.0).sqrt())))
    }

    fn table(&self) -> Table {
        let mut table = Table::new().column("strategy", Align::Left);
        for name in
            ["LDS", "95 % interval", "gain on the row above", "95 % interval", "p", "seconds"]
        {
            table = table.column(name, Align::Right);
        }
        for Scored { strategy, seconds, lds, against_previous } in &self.strategies {
            let gain = |show: &dyn Fn(&Comparison) -> String| {
                against_previous.as_ref().map_or_else(|| "–".to_owned(), show)
            };
            table.row([
                strategy.to_string(),
                format!("{:.3}", lds.score),
                format!("{:.3} … {:.3}", lds.interval.low, lds.interval.high),
                gain(&|test| format!("{:+.3}", test.difference)),
                gain(&|test| {
                    test.interval
                        .map_or_else(String::new, |i| format!("{:+.3} … {:+.3}", i.low, i.high))
                }),
                gain(&|test| format!("{:.3}", test.p)),
                format!("{seconds:.1}"),
            ]);
        }
        table
    }

    fn lead(&self) -> String {
        let Self { samples, subsets, repeats, .. } = self;
        let lead = format!(
            "{subsets} random halves of {samples} samples, {repeats} training(s) on each, {} queries.",
            self.queries.len()
        );
        let (Some(agreement), Some(ceiling)) = (self.agreement, self.ceiling) else { return lead };
        format!(
            "{lead} Two trainings on the same half agree to {agreement:.3}; scores that knew the \
             expected losses would reach about {ceiling:.3}."
        )
    }
}

/// Rows of the pool of one half: a line of `halves.jsonl`.
#[derive(Serialize)]
struct Half<'a> {
    subset: usize,
    /// Positions among the rows that can be used, from 0.
    rows: &'a [usize],
}

/// Writes `lds.json`, `halves.jsonl`, `report.html` and `run.json`, and prints the table.
///
/// # Errors
/// A file that cannot be written, naming it.
pub fn write(
    flags: &Flags,
    results: &Results,
    halves: &[Vec<usize>],
    mut record: RunRecord,
) -> Result<()> {
    let out = &flags.out;
    begin_results(out)?;
    let (file, of_halves) = (out.join("lds.json"), out.join("halves.jsonl"));
    write_atomic(&file, serde_json::to_vec_pretty(results)?)?;
    // With these, the bank and the scores, others can compute the result again.
    write_jsonl(&of_halves, halves.iter().enumerate().map(|(subset, rows)| Half { subset, rows }))?;
    record.counts.set("samples", results.samples as u64);
    record.counts.set("queries", results.queries.len() as u64);
    record.counts.set("subsets", results.subsets as u64);
    for scored in &results.strategies {
        let name = format!("lds {}", scored.strategy);
        record.results.set(name, serde_json::to_value(scored.lds.score)?);
    }
    let page = |record: &RunRecord| {
        let mut report = Report::new("How well scores foretell retraining");
        report.lead(results.lead());
        report.section("Linear datamodelling score").table("By strategy", results.table());
        let notes = report.section("How it was run");
        for note in &record.notes {
            notes.paragraph(note.clone());
        }
        Ok(report)
    };
    let files = end_results(out, vec![file, of_halves], record, page)?;
    let said = format!("{}\n\n{}", results.lead(), results.table().markdown());
    say_results(said, &files)
}
