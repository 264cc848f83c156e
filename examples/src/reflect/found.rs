//! What `reflect` found, as lines and as a page.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tamis::artifact::write_atomic;
use tamis::dataset::{Content, Dataset, Format, Sample};
use tamis::reflection::history::Outcome;
use tamis::reflection::teacher::Spent;
use tamis::reflection::{AlpacaRow, Counts, Row, Step, Verdict};
use tamis::report::{
    Align, Bars, Histogram, Report, RunRecord, Table, Tile, clip, run_section, write_jsonl,
};

use crate::exports::{Chosen, Exports};
use crate::outputs::{begin_results, end_results};

/// Characters of a text in an example.
const SHOWN: usize = 600;
/// Examples of proposals that were taken, and of those that were refused.
const EXAMPLES: usize = 4;

/// Everything the method found.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// The records.
    pub pool: &'a Dataset,
    /// What became of each, in the order of the records.
    pub outcomes: &'a [Outcome],
}

impl Found<'_> {
    /// Puts counts and rows that could not be read into the record of the run.
    pub fn count(&self, record: &mut RunRecord) {
        let rejects = self.pool.rejects();
        record.notes.extend(rejects.iter().map(|reject| format!("not read: {reject}")));
        let selected = self.outcomes.iter().filter(|one| one.selected).count();
        let changed = self.outcomes.iter().filter(|one| one.history.is_changed()).count();
        for (name, count) in [
            ("read", self.outcomes.len() + rejects.len()),
            ("rejected", rejects.len()),
            ("changed", changed),
            ("selected", selected),
        ] {
            record.counts.set(name, count as u64);
        }
        let counts = Counts::of(self.outcomes);
        record.counts.set("unanswered", counts.unanswered as u64);
        for (stage, verdicts) in
            [("instruction", counts.instruction), ("response", counts.response)]
        {
            for (verdict, count) in verdicts {
                record.counts.set(format!("{stage}_{verdict}"), count as u64);
            }
        }
    }

    /// What happened, in a few lines.
    pub fn summary(&self, spent: &Spent) -> String {
        let mut text = String::new();
        let counts = Counts::of(self.outcomes);
        for (stage, verdicts) in
            [("instruction", counts.instruction), ("response", counts.response)]
        {
            let counts: Vec<String> =
                verdicts.iter().map(|(verdict, count)| format!("{verdict} {count}")).collect();
            let _ = writeln!(text, "{stage} reflection: {}", counts.join(", "));
        }
        if counts.unanswered > 0 {
            let _ = writeln!(
                text,
                "{} records without a reply for the moment: the same command asks about them again, and \
                 about no others",
                counts.unanswered
            );
        }
        let cost = spent.cost.map_or(String::new(), |cost| format!(", {cost:.4} to pay"));
        let _ = writeln!(
            text,
            "teacher: {} asked, {} known before, {} tokens read, {} written{cost}",
            spent.asked, spent.cached, spent.tokens.prompt_tokens, spent.tokens.completion_tokens,
        );
        let selected = self.outcomes.iter().filter(|one| one.selected).count();
        let _ = writeln!(text, "{} records, {selected} in the final set", self.outcomes.len());
        text
    }

    /// Writes the final set, the same records as they came, every history, the page and the record of
    /// the run, whose clock stops here.
    ///
    /// # Errors
    /// A file that cannot be written, naming it.
    pub fn write(&self, out: &Path, exports: &Exports, record: RunRecord) -> Result<Vec<PathBuf>> {
        begin_results(out)?;
        let chosen: Vec<usize> =
            (0..self.outcomes.len()).filter(|&place| self.outcomes[place].selected).collect();
        let mut files = self.pool.write_rows(&chosen, out, "original")?;
        let came =
            fs::read_to_string(out.join("original.jsonl")).context("reading original.jsonl")?;
        let (mut text, mut rows) = (String::with_capacity(came.len()), Vec::new());
        for (&place, line) in chosen.iter().zip(came.lines()) {
            if let Some(row) = self.outcomes[place].history.rewritten() {
                text.push_str(&rewritten(self.pool.format(), &row).to_string());
                rows.push(sample(place, row));
            } else {
                text.push_str(serde_json::from_str::<&RawValue>(line)?.get());
                rows.extend(self.pool.read(&[place])?);
            }
            text.push('\n');
        }
        let selected = out.join("selected.jsonl");
        write_atomic(&selected, text.as_bytes())?;
        files.push(selected);
        let scores = out.join("scores.jsonl");
        write_jsonl(&scores, self.outcomes)?;
        files.push(scores);
        files.extend(exports.write(out, Some(Chosen::Samples(&rows)), self.outcomes)?);
        end_results(out, files, record, |record| Ok(self.page(record)))
    }

    fn page(&self, record: &RunRecord) -> Report {
        let mut page = Report::new("Selective reflection");
        let selected = self.outcomes.iter().filter(|one| one.selected).count();
        let changed = self.outcomes.iter().filter(|one| one.history.is_changed()).count();
        page.lead(format!(
            "{} records of {}: a teacher rewrote, the student decided.",
            self.outcomes.len(),
            self.pool.path().display()
        ));
        page.section("Result").tiles([
            Tile::new("Records", self.outcomes.len().to_string()),
            Tile::new("Changed", changed.to_string()),
            Tile::new("In the final set", selected.to_string()),
        ]);
        self.verdict_section(&mut page);
        self.score_section(&mut page);
        self.example_section(&mut page);
        self.reason_section(&mut page);
        run_section(&mut page, record);
        page
    }

    fn verdict_section(&self, page: &mut Report) {
        let section = page.section("What became of the proposals");
        section.paragraph(
            "taken: the student prefers the proposal. refused: it does not. unchanged: the proposal says \
             what is there. unreadable: the reply is not in the form that was asked for. unscorable: one of \
             the two texts has no score.",
        );
        let counts = Counts::of(self.outcomes);
        let stages = [("instruction", &counts.instruction), ("response", &counts.response)];
        let mut names: Vec<&str> =
            stages.iter().flat_map(|(_, verdicts)| verdicts.keys().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        let mut bars = Bars::new("Verdicts", "verdict", "records", names.clone());
        for (stage, verdicts) in stages {
            let of = names.iter().map(|&name| verdicts.get(name).copied().unwrap_or(0) as f64);
            bars = bars.series(stage, of);
        }
        section.plot(bars);
        let mut why: BTreeMap<String, usize> = BTreeMap::new();
        for outcome in self.outcomes {
            let history = &outcome.history;
            for step in [&history.instruction_reflection, &history.response_reflection] {
                let reason = match &step.verdict {
                    Verdict::Unreadable { why } => format!("unreadable: {why}"),
                    Verdict::NoReply { why } => format!("no reply: {why}"),
                    Verdict::Unscorable { why, .. } => format!("unscorable: {why}"),
                    _ => continue,
                };
                *why.entry(reason).or_default() += 1;
            }
        }
        if !why.is_empty() {
            section.table("Why there was no proposal", table_of("why", why));
        }
    }

    fn score_section(&self, page: &mut Report) {
        let section = page.section("Scores");
        for (title, axis, step) in [
            (
                "Decisions about instructions",
                "score of the pair, before and after",
                (|one| &one.history.instruction_reflection) as fn(&Outcome) -> &Step,
            ),
            ("Decisions about answers", "score of the record, before and after", |one| {
                &one.history.response_reflection
            }),
        ] {
            let steps: Vec<&Step> = self.outcomes.iter().map(step).collect();
            let [before, after]: [Vec<f64>; 2] = [
                steps.iter().filter_map(|step| step.before).collect(),
                steps.iter().filter_map(|step| step.after).collect(),
            ];
            if before.is_empty() && after.is_empty() {
                continue;
            }
            section
                .plot(Histogram::new(title, axis).series("before", before).series("after", after));
        }
    }

    fn example_section(&self, page: &mut Report) {
        let section = page.section("Examples");
        for (verdict, heading) in [(Verdict::Taken, "taken"), (Verdict::Refused, "refused")] {
            let of_verdict = |one: &&Outcome| {
                let history = &one.history;
                history.instruction_reflection.verdict == verdict
                    || history.response_reflection.verdict == verdict
            };
            for outcome in self.outcomes.iter().filter(of_verdict).take(EXAMPLES) {
                section.paragraph(format!("A proposal that was {heading}: {}", outcome.history.id));
                section.preformatted(example(outcome));
            }
        }
    }

    fn reason_section(&self, page: &mut Report) {
        let reasons = Counts::of(self.outcomes).reasons;
        let reasons =
            reasons.into_iter().map(|(reason, count)| (reason.to_string(), count)).collect();
        page.section("Final set")
            .table("Why a record is in it or not", table_of("reason", reasons));
    }
}

/// A rewritten record in the form that the other rows of its file have, so that one reader reads all.
fn rewritten(format: Format, row: &AlpacaRow) -> Value {
    let (id, Row { instruction, output, .. }) = (&row.id, &row.row);
    match format {
        Format::Messages => json!({ "id": id, "messages": [
            { "role": "user", "content": instruction },
            { "role": "assistant", "content": output },
        ] }),
        Format::ShareGpt => json!({ "id": id, "conversations": [
            { "from": "human", "value": instruction },
            { "from": "gpt", "value": output },
        ] }),
        _ => json!(row),
    }
}

/// A rewritten record as a sample.
fn sample(index: usize, row: AlpacaRow) -> Sample {
    let Row { instruction, input, output } = row.row;
    Sample { id: row.id, index, content: Content::Instruction { instruction, input, output } }
}

/// What became of one record.
fn example(outcome: &Outcome) -> String {
    let mut text = String::new();
    let history = &outcome.history;
    for (name, step) in [
        ("instruction", &history.instruction_reflection),
        ("response", &history.response_reflection),
    ] {
        let scores = match (step.before, step.after) {
            (Some(before), Some(after)) => format!(" ({before:.3} → {after:.3})"),
            _ => String::new(),
        };
        let _ = writeln!(text, "{name} reflection: {}{scores}", step.verdict.name());
        if let Some(proposal) = &step.proposal {
            let _ = writeln!(text, "{}", shown(proposal));
        }
    }
    text
}

fn table_of(what: &str, counts: BTreeMap<String, usize>) -> Table {
    let mut table = Table::new().column(what, Align::Left).column("records", Align::Right);
    for (name, count) in counts {
        table.row([name, count.to_string()]);
    }
    table
}

fn shown(row: &Row) -> String {
    let [instruction, input, output] =
        [&row.instruction, &row.input, &row.output].map(|text| clip(text, SHOWN));
    let input = if input.is_empty() { String::new() } else { format!("\n  input: {input}") };
    format!("  instruction: {instruction}{input}\n  output: {output}")
}
