//! What `evaluate` found, as tables, as JSON, and segment by segment.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use serde_json::{Map, Value, json};
use tamis::metrics::{Bleu, BleuScore, Interval, Metric, total};
use tamis::report::{Align, Table, write_jsonl};

use super::{Input, Measured, Scored, System};

/// Scores, tests and lengths, ready to be shown.
#[derive(Debug)]
pub struct Found<'a> {
    input: &'a Input,
    measured: Vec<Measured>,
    /// The parts of the BLEU score of each system.
    parts: Vec<BleuScore>,
}

/// Mean lengths of the segments of a file.
struct Lengths {
    /// Between space.
    words: f64,
    /// Unicode scalar values.
    characters: f64,
}

impl Lengths {
    fn of(file: &System) -> Self {
        let mean = |length: fn(&String) -> usize| {
            file.lines.iter().map(length).sum::<usize>() as f64 / file.lines.len() as f64
        };
        Self {
            words: mean(|line| line.split_whitespace().count()),
            characters: mean(|line| line.chars().count()),
        }
    }

    fn json(&self) -> Value {
        json!({ "words": self.words, "characters": self.characters })
    }
}

impl<'a> Found<'a> {
    /// Puts it together.
    ///
    /// # Errors
    /// Input that does not fit together.
    pub fn new(input: &'a Input, bleu: &Bleu, measured: Vec<Measured>) -> Result<Self> {
        let references: Vec<&[String]> =
            input.references.iter().map(|file| file.lines.as_slice()).collect();
        let mut parts = Vec::new();
        for system in &input.systems {
            parts.push(bleu.detail(&total(&bleu.segments(&system.lines, &references)?)));
        }
        Ok(Self { input, measured, parts })
    }

    /// One JSON object: the first system's scores at the top, the second's in `system2`, their
    /// difference in `comparison`.
    ///
    /// # Errors
    /// A number that JSON cannot hold.
    pub fn json(&self) -> Result<String> {
        let (input, mut all) = (self.input, Map::new());
        all.insert("segments".to_owned(), json!(input.segments()));
        all.append(&mut self.system(0));
        let references: Vec<Value> = input
            .references
            .iter()
            .map(|file| json!({ "file": file.path, "mean_length": Lengths::of(file).json() }))
            .collect();
        all.insert("references".to_owned(), json!(references));
        let signatures = self.measured.iter().filter_map(|m| Some((m.key, m.signature.as_ref()?)));
        all.insert(
            "signatures".to_owned(),
            signatures.map(|(k, s)| (k.to_owned(), json!(s))).collect(),
        );
        if input.scores.is_some() {
            let named = self.measured.iter().find(|m| m.signature.is_none());
            all.insert("segment_scores_name".to_owned(), json!(named.map(|m| &m.name)));
        }
        if input.systems.len() > 1 {
            all.insert("system2".to_owned(), self.system(1).into());
            let mut tests = Map::new();
            tests.insert("difference_is".to_owned(), json!("first minus second"));
            for measured in &self.measured {
                tests.insert(measured.key.to_owned(), json!(measured.tests));
            }
            all.insert("comparison".to_owned(), tests.into());
        }
        Ok(serde_json::to_string_pretty(&all)? + "\n")
    }

    /// The scores of one system.
    fn system(&self, number: usize) -> Map<String, Value> {
        let (parts, file) = (&self.parts[number], &self.input.systems[number]);
        let mut fields = Map::new();
        let mut intervals = Map::new();
        fields.insert("file".to_owned(), json!(file.path));
        for measured in &self.measured {
            let scored = &measured.systems[number];
            fields.insert(measured.key.to_owned(), json!(scored.score));
            intervals.insert(measured.key.to_owned(), json!(scored.interval));
        }
        fields.insert("intervals".to_owned(), intervals.into());
        fields.insert("brevity_penalty".to_owned(), json!(parts.brevity_penalty));
        fields.insert("precisions".to_owned(), json!(parts.precisions));
        fields.insert("hypothesis_length".to_owned(), json!(parts.hypothesis_length));
        fields.insert("reference_length".to_owned(), json!(parts.reference_length));
        fields.insert("mean_length".to_owned(), Lengths::of(file).json());
        fields
    }

    /// Writes the scores of every segment, one JSON object a line.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn write_sentences(&self, path: &Path) -> Result<()> {
        let scores = |system: usize, line: usize| {
            let of_one = |m: &Measured| (m.key.to_owned(), json!(m.systems[system].segments[line]));
            self.measured.iter().map(of_one).collect::<Map<String, Value>>()
        };
        let row = |line: usize| {
            let mut row = Map::new();
            row.insert("line".to_owned(), json!(line + 1));
            row.append(&mut scores(0, line));
            if self.input.systems.len() > 1 {
                row.insert("system2".to_owned(), scores(1, line).into());
            }
            row
        };
        write_jsonl(path, (0..self.input.segments()).map(row))?;
        Ok(())
    }

    /// Scores, differences, lengths and signatures for people, in Markdown.
    pub fn tables(&self) -> String {
        let mut text = format!("{} segments\n\n{}\n", self.input.segments(), self.scores());
        if self.input.systems.len() > 1 {
            text += "Difference, system 1 minus system 2 (for TER lower is better):\n\n";
            text += &self.differences();
            text.push('\n');
        }
        text += &self.lengths();
        text.push('\n');
        for measured in &self.measured {
            if let Some(signature) = &measured.signature {
                // Writing to a string does not fail.
                let _ = writeln!(text, "{}: {signature}", measured.name);
            }
        }
        text
    }

    fn scores(&self) -> String {
        let mut table = Table::new().column("metric", Align::Left);
        for number in 1..=self.input.systems.len() {
            table = table.column(format!("system {number}"), Align::Right);
            table = table.column(self.confidence(), Align::Right);
        }
        for measured in &self.measured {
            let mut row = vec![measured.name.clone()];
            for Scored { score, interval, .. } in &measured.systems {
                row.push(measured.number(*score));
                row.push(measured.interval(interval.as_ref()));
            }
            table.row(row);
        }
        table.markdown()
    }

    fn differences(&self) -> String {
        let mut table = Table::new().column("metric", Align::Left);
        for name in ["difference", &self.confidence(), "bootstrap", "randomisation"] {
            table = table.column(name, Align::Right);
        }
        for name in ["mean of segments", &self.confidence(), "t-test"] {
            table = table.column(name, Align::Right);
        }
        for measured in &self.measured {
            let Some(tests) = &measured.tests else { continue };
            table.row([
                measured.name.clone(),
                measured.number(tests.difference),
                measured.interval(tests.bootstrap.interval.as_ref()),
                probability(tests.bootstrap.p),
                probability(tests.randomisation.p),
                measured.number(tests.t_test.difference),
                measured.interval(tests.t_test.interval.as_ref()),
                probability(tests.t_test.p),
            ]);
        }
        table.markdown()
    }

    fn lengths(&self) -> String {
        let mut table = Table::new().column("text", Align::Left).column("file", Align::Left);
        for name in ["words", "characters", "BLEU tokens", "of the reference", "brevity penalty"] {
            table = table.column(name, Align::Right);
        }
        let n = self.input.segments() as f64;
        let row = |what: String, file: &System, rest: [String; 3]| {
            let (path, lengths) = (file.path.display().to_string(), Lengths::of(file));
            let means = [lengths.words, lengths.characters].map(|mean| format!("{mean:.1}"));
            [vec![what, path], means.to_vec(), rest.to_vec()].concat()
        };
        for (number, (file, parts)) in (1..).zip(self.input.systems.iter().zip(&self.parts)) {
            let tokens = parts.hypothesis_length as f64;
            let share = 100.0 * tokens / (parts.reference_length as f64).max(1.0);
            let rest = [
                format!("{:.1}", tokens / n),
                format!("{share:.1} %"),
                format!("{:.3}", parts.brevity_penalty),
            ];
            table.row(row(format!("system {number}"), file, rest));
        }
        for file in &self.input.references {
            table.row(row("reference".to_owned(), file, <[String; 3]>::default()));
        }
        format!("Mean lengths of the segments:\n\n{}", table.markdown())
    }

    /// The heading of intervals.
    fn confidence(&self) -> String {
        let mut scored = self.measured.iter().flat_map(|measured| &measured.systems);
        let known = scored.find_map(|scored| scored.interval.as_ref());
        known
            .map_or_else(|| "interval".to_owned(), |i| format!("{} %", round(100.0 * i.confidence)))
    }
}

impl Measured {
    /// Neural scores lie between 0 and 1 as a rule, the others between 0 and 100.
    fn number(&self, value: f64) -> String {
        if self.signature.is_some() { format!("{value:.2}") } else { format!("{value:.4}") }
    }

    fn interval(&self, interval: Option<&Interval>) -> String {
        interval.map_or_else(String::new, |interval| {
            format!("{} to {}", self.number(interval.low), self.number(interval.high))
        })
    }
}

fn probability(p: f64) -> String {
    if p < 1e-4 { "p < 0.0001".to_owned() } else { format!("p = {p:.4}") }
}

/// 100 times 0.95 without the rounding error.
fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
