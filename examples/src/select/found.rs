//! What `select` found, as lines and files.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;
use tamis::dataset::Dataset;
use tamis::embeddings::Embeddings;
use tamis::report::{RunRecord, format_number, write_jsonl};

use super::{Candidates, Choice, Compared, Flags};
use crate::outputs::{begin_results, end_results, write_outputs};

/// One line of `scores.jsonl`.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Id of the row; its number, where there are no ids.
    pub id: String,
    /// Its place in the data, from 0; without data, in the embeddings.
    pub index: usize,
    /// When it was picked, from 0.
    pub order: Option<usize>,
    /// k-center: its distance to what was chosen before it, if anything was.
    pub radius: Option<f64>,
    /// facility-location and qdit: by how much it raised the facility value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gain: Option<f64>,
    /// Its distance to the nearest row that is there in the end, chosen or initial.
    pub nearest: Option<f64>,
    /// k-means: its cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<usize>,
    /// qdit: its quality.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<f64>,
    /// Whether it was chosen; initial rows were not, they are there already.
    pub selected: bool,
    /// Why, or why not.
    pub reason: String,
}

/// A line of `selected.jsonl` where there is no data.
#[derive(Debug, Serialize)]
struct Bare<'a> {
    index: usize,
    id: &'a str,
}

/// Everything that was found.
#[derive(Debug)]
pub struct Found<'a> {
    /// What was asked for.
    pub flags: &'a Flags,
    /// The rows, if there are any.
    pub data: Option<&'a Dataset>,
    /// Their embeddings.
    pub embeddings: &'a Embeddings,
    /// Both joined.
    pub candidates: &'a Candidates,
    /// What was chosen.
    pub choice: &'a Choice,
    /// What that is worth.
    pub compared: &'a Compared,
}

impl Found<'_> {
    /// One line for every candidate, in their order.
    pub fn lines(&self) -> Vec<Line> {
        let mut order = vec![None; self.embeddings.len()];
        for (place, pick) in self.choice.picks.iter().enumerate() {
            order[pick.row] = Some(place);
        }
        let mut initial = vec![false; self.embeddings.len()];
        self.choice.initial.iter().for_each(|&row| initial[row] = true);
        let lines = self.candidates.all().iter().map(|candidate| {
            let row = candidate.row.as_ref().ok().copied();
            let order = row.and_then(|row| order[row]);
            let pick = order.map(|place| &self.choice.picks[place]);
            let reason = match (&candidate.row, pick) {
                (Err(why), _) => format!("no embedding: {why}"),
                (_, Some(pick)) => pick.reason.clone(),
                (Ok(row), None) if initial[*row] => "initial".to_owned(),
                _ => "not picked".to_owned(),
            };
            let of = |values: &Option<Vec<f64>>| Some(values.as_ref()?[row?]);
            Line {
                id: candidate.id.clone(),
                index: candidate.index,
                order,
                radius: pick.and_then(|pick| pick.radius),
                gain: pick.and_then(|pick| pick.gain),
                nearest: row.map(|row| self.compared.nearest[row]),
                cluster: self.choice.clusters.as_ref().and_then(|labels| Some(labels[row?])),
                quality: of(&self.choice.quality),
                selected: order.is_some(),
                reason,
            }
        });
        lines.collect()
    }

    /// Puts counts, figures and rows that could not be read into the record of the run.
    pub fn count(&self, record: &mut RunRecord) {
        let rejects = self.data.map_or(&[][..], Dataset::rejects);
        record.notes.extend(rejects.iter().map(|reject| format!("not read: {reject}")));
        for (name, count) in [
            ("read", self.candidates.all().len() + rejects.len()),
            ("rejected", rejects.len() + self.candidates.without()),
            ("embedded", self.embeddings.len()),
            ("columns", self.embeddings.columns()),
            ("initial", self.choice.initial.len()),
            ("budget", self.flags.budget),
            ("selected", self.choice.picks.len()),
        ] {
            record.counts.set(name, count as u64);
        }
        self.compared.record(&mut record.results);
    }

    /// What happened, in a few lines.
    pub fn summary(&self) -> String {
        let mut text = format!(
            "{} of {} rows chosen by {}",
            self.choice.picks.len(),
            self.embeddings.len(),
            self.flags.strategy.name()
        );
        for row in self.compared.figures() {
            let random = row.random.map_or(String::new(), |[mean, low, high]| {
                let [mean, low, high] = [mean, low, high].map(format_number);
                format!("; at random {mean} ({low} to {high})")
            });
            text.extend(["\n", row.name, ": ", &format_number(row.choice), &random]);
        }
        text
    }

    /// Writes all files, and returns which.
    ///
    /// # Errors
    /// A file that cannot be written, naming it.
    pub fn write(&self, record: RunRecord) -> Result<Vec<PathBuf>> {
        let (lines, out) = (self.lines(), &self.flags.out);
        let chosen: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].selected).collect();
        let page = |record: &RunRecord| self.page(&lines, record);
        let exports = self.flags.exports()?;
        if let Some(data) = self.data {
            // Candidates are the rows that could be read, in their order.
            return write_outputs(out, data, &chosen, &lines, &exports, record, page);
        }
        std::fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
        begin_results(out)?;
        let (selected, scores) = (out.join("selected.jsonl"), out.join("scores.jsonl"));
        let bare = |&n: &usize| Bare { index: lines[n].index, id: &lines[n].id };
        write_jsonl(&selected, chosen.iter().map(bare))?;
        write_jsonl(&scores, &lines)?;
        let mut files = vec![selected, scores];
        files.extend(exports.write(out, None, &lines)?);
        end_results(out, files, record, page)
    }
}
