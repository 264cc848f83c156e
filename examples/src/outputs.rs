//! The files every selecting program writes: `selected.jsonl`, `scores.jsonl`, `run.json`,
//! `report.html`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use tamis::dataset::{Content, Dataset, Sample};
use tamis::report::{Example, Examples, Report, RunRecord, write_jsonl};

use crate::exports::{Chosen, Exports};

/// The record of a run.
const RUN: &str = "run.json";

/// Writes the chosen rows as they came in, one line a candidate, both again in the forms of `exports`,
/// and the record of the run, whose clock stops here. `report` makes the page from the finished record.
///
/// # Errors
/// A file that cannot be written, or a row that a form cannot express, naming it.
pub fn write_outputs<L: Serialize>(
    out: &Path,
    pool: &Dataset,
    chosen: &[usize],
    lines: &[L],
    exports: &Exports,
    record: RunRecord,
    report: impl FnOnce(&RunRecord) -> Result<Report>,
) -> Result<Vec<PathBuf>> {
    begin_results(out)?;
    let mut files = pool.write_rows(chosen, out, "selected")?;
    let scores = out.join("scores.jsonl");
    write_jsonl(&scores, lines)?;
    files.push(scores);
    files.extend(exports.write(out, Some(Chosen::Rows(pool, chosen)), lines)?);
    end_results(out, files, record, report)
}

/// Removes `run.json`: written last, it says that the files beside it are of one run.
///
/// # Errors
/// A file that cannot be removed, naming it.
pub fn begin_results(out: &Path) -> Result<()> {
    let run = out.join(RUN);
    if run.exists() {
        fs::remove_file(&run).with_context(|| format!("removing {}", run.display()))?;
    }
    Ok(())
}

/// Stops the clock of the run and writes `report.html` and, last, `run.json`, which names the `files`
/// that were written before. Returns all of them.
///
/// # Errors
/// A file that cannot be written, naming it.
pub fn end_results(
    out: &Path,
    mut files: Vec<PathBuf>,
    mut record: RunRecord,
    report: impl FnOnce(&RunRecord) -> Result<Report>,
) -> Result<Vec<PathBuf>> {
    for file in &files {
        record.add_output(file)?;
    }
    record.finish();
    let (page, run) = (out.join("report.html"), out.join(RUN));
    report(&record)?.write(&page)?;
    record.write(&run)?;
    files.extend([run, page]);
    Ok(files)
}

/// Rows of the pool to look at, with their text.
///
/// # Errors
/// A row that can no longer be read.
pub fn examples(pool: &Dataset, title: &str, positions: &[usize]) -> Result<Examples> {
    let samples = pool.read(positions)?;
    let example = |(&row, sample): (&usize, &Sample)| Example {
        row,
        id: sample.id.to_string(),
        text: text_of(sample),
    };
    let rows = positions.iter().zip(&samples).map(example).collect();
    Ok(Examples { title: title.to_owned(), rows })
}

/// Question and answer of a sample in one line.
fn text_of(sample: &Sample) -> String {
    match &sample.content {
        Content::Instruction { instruction, input, output } if input.is_empty() => {
            format!("{instruction} → {output}")
        }
        Content::Instruction { instruction, input, output } => {
            format!("{instruction} | {input} → {output}")
        }
        Content::Chat { messages } => {
            let turns: Vec<String> =
                messages.iter().map(|m| format!("{}: {}", m.role, m.content)).collect();
            turns.join(" → ")
        }
        Content::Translation { source, target } => format!("{source} → {target}"),
    }
}
