//! Nuggets (arXiv 2312.10302): score every row by the share of tasks that it helps with as a
//! one-shot example, and choose by it.
//!
//! ```text
//! cargo run --release -p tamis-examples --example nuggets -- \
//!     --model MODEL --pool pool.jsonl --anchor-count 100 --budget 1000 --out out/nuggets
//! ```
//!
//! Anchors stand for the tasks: rows of a file (`--anchors`), or the rows of the pool nearest to the
//! centres of as many clusters. Each row of the pool is put before each anchor; its golden score is
//! the share of anchors whose answer becomes more probable by that.
//!
//! You should see how the anchors were found, an estimate, a bar with rate and time left, then how
//! the scores are spread, and in `--out`: `selected.jsonl` (the chosen rows as they came),
//! `scores.jsonl`, `run.json` and `report.html`. Every rise is kept in `rises`: run the same command
//! again after an interruption and it goes on where it was; with another budget or threshold it
//! scores nothing again.

use std::num::NonZeroUsize;

use anyhow::Result;
use clap::Parser;
use serde_json::json;
use tamis::dataset::Dataset;
use tamis::model::{CausalLm, DeviceSpec, configure_threads};
use tamis::nuggets::{GoldenScorer, GoldenScores, read_scores};
use tamis::report::{RunRecord, StageTimer};
use tamis_examples::nuggets::{Flags, Found, anchors};
use tamis_examples::{Bars, is_finished, refuse_overwriting, say_results, write_outputs};

/// Result files, which no input may be.
const WRITTEN: [&str; 4] = ["selected.*", "scores.jsonl", "run.json", "report.html"];
/// Rows from which the work is estimated.
const PROBE: usize = 200;

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let rule = flags.rule()?;
    let mut record = RunRecord::start("nuggets", env!("CARGO_PKG_VERSION"));
    record.seeds.set("seed", flags.seed);
    let pool = flags.open()?;
    for input in [Some(&flags.model.model), Some(&flags.pool), flags.anchors.as_ref()] {
        let Some(input) = input else { continue };
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }
    let model = flags.model.load()?;
    let scoring = flags.scoring(model.shape().max_positions)?;
    record.set_parameters(&json!({ "flags": flags, "scoring": scoring, "rule": rule }))?;
    record.environment.threads = Some(threads.count);
    record.environment.device = Some(DeviceSpec::from(model.shape().device).to_string());

    // 1. The tasks that rows are to help with.
    let anchors = anchors(&flags, &scoring, &model, &pool, &mut record)?;

    // 2. What every row does for every one of them.
    let tokenizer = model.tokenizer()?.clone();
    let scorer = GoldenScorer::new(&model, tokenizer, scoring, &anchors)?;
    let scores = scored(&flags, &scorer, &pool, &mut record)?;

    // 3. The choice.
    let timer = StageTimer::start("select");
    let budget = flags.budget.unwrap_or(pool.len());
    let selection = rule.choose(&scores, budget)?;
    record.stages.push(timer.finish());

    // 4. What was found, and why.
    let found = Found { flags: &flags, pool: &pool, scores: &scores, rule };
    let lines = found.lines(&selection);
    let chosen: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].selected).collect();
    found.count(&lines, &mut record);
    let page = |record: &RunRecord| found.page(&lines, record);
    let exports = flags.exports()?;
    let files = write_outputs(&flags.out, &pool, &chosen, &lines, &exports, record, page)?;
    say_results(found.summary(&lines), &files)
}

/// Step 2: rises from the store, where an earlier run may have left some or all of them.
fn scored(
    flags: &Flags,
    scorer: &GoldenScorer<'_>,
    pool: &Dataset,
    record: &mut RunRecord,
) -> Result<GoldenScores> {
    let mut timer = StageTimer::start("scores");
    let dir = flags.out.join("rises");
    if !is_finished(&dir) {
        let few = pool.read_range(0..pool.len().min(PROBE))?;
        tamis_examples::note!("golden scores: {}", scorer.estimate(&few, pool.len())?);
    }
    let report = scorer.run(pool, &dir, &mut Bars::default())?;
    timer.rows(report.rows as u64).resumed(report.resumed > 0);
    if report.resumed == report.rows {
        tamis_examples::note!("golden scores: all {} rows were done before", pool.len());
    } else {
        record.notes.push(format!(
            "{} rows scored, {} tokens read, {} predicted in this run",
            report.texts, report.tokens, report.targets
        ));
    }
    record.stages.push(timer.finish());
    Ok(read_scores(&dir)?)
}
