//! IFD (arXiv 2308.12032, 2402.00530, 2402.10110): score how much an instruction helps a model to
//! its answer, and choose rows by it.
//!
//! ```text
//! cargo run --release -p tamis-examples --example ifd -- \
//!     --model MODEL --pool pool.jsonl --preset superfiltering --share 0.1 --out out/ifd
//! ```
//!
//! Every answer is scored twice, after its instruction and alone; the ratio of the two perplexities
//! is its instruction-following difficulty. A high one, below 1, promises most from training on the
//! row. With `r_ifd` among the measures the instruction is scored the same way from its answer.
//!
//! You should see an estimate, a bar with rate and time left, then how many rows fell out and were
//! chosen, and in `--out`: `selected.jsonl` (the chosen rows as they came), `scores.jsonl`,
//! `run.json` and `report.html`. A score in `scores.jsonl` is null where there is none, and
//! `ifd_reason` or `r_ifd_reason` says why. Run the same command again after an interruption and it
//! goes on where it was; with another way of choosing it scores nothing again.

use std::num::NonZeroUsize;

use anyhow::Result;
use clap::Parser;
use serde_json::json;
use tamis::dataset::Dataset;
use tamis::ifd_scoring::{IfdScorer, SampleScores, read_scores};
use tamis::model::{CausalLm, DeviceSpec, configure_threads};
use tamis::report::{RunRecord, StageTimer};
use tamis::selection::Candidates;
use tamis_examples::ifd::{Flags, Found, groups};
use tamis_examples::{Bars, is_finished, refuse_overwriting, say_results, write_outputs};

/// Result files, which no input may be.
const WRITTEN: [&str; 4] = ["selected.*", "scores.jsonl", "run.json", "report.html"];
/// Rows from which the work is estimated.
const PROBE: usize = 200;

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let (scoring, selection) = (flags.scoring()?, flags.selection()?.check()?);
    let mut record = RunRecord::start("ifd", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&json!({
        "flags": flags, "scoring": scoring, "selection": selection,
    }))?;
    let pool = flags.open()?;
    for input in [&flags.model.model, &flags.pool] {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }

    // 1. Groups, where rows are told apart by a field.
    let groups = match &flags.group_field {
        Some(field) => groups(&pool, field)?,
        None => vec![None; pool.len()],
    };

    // What the groups cannot be given is said before the long work.
    selection.check_groups(groups.iter().map(Option::as_deref))?;

    // 2. Scores.
    let model = flags.model.load()?;
    let tokenizer = model.tokenizer()?.clone();
    let scorer = IfdScorer::new(&model, tokenizer, scoring)?;
    record.environment.threads = Some(threads.count);
    record.environment.device = Some(DeviceSpec::from(model.shape().device).to_string());
    let scores = scored(&flags, &scorer, &pool, &mut record)?;

    // 3. The choice.
    let timer = StageTimer::start("select");
    let columns = SampleScores::columns(&scores);
    let candidates = Candidates::scored(&columns).groups(&groups)?;
    let budget = selection.budget(&candidates)?;
    let selection = selection.choose(&candidates)?;
    record.stages.push(timer.finish());

    // 4. What was found, and why.
    let found = Found { flags: &flags, pool: &pool, scores: &scores, groups: &groups };
    let lines = found.lines(&selection);
    let chosen: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].selected).collect();
    found.count(&lines, budget, &mut record);
    let page = |record: &RunRecord| found.page(&lines, record);
    let exports = flags.exports.worded(&scorer.params().template, &flags.target_lang);
    let files = write_outputs(&flags.out, &pool, &chosen, &lines, &exports, record, page)?;
    say_results(found.summary(&lines, budget), &files)
}

/// Step 2: scores from the store, where an earlier run may have left some or all of them.
fn scored(
    flags: &Flags,
    scorer: &IfdScorer<'_>,
    pool: &Dataset,
    record: &mut RunRecord,
) -> Result<Vec<SampleScores>> {
    let mut timer = StageTimer::start("scores");
    let dir = flags.out.join("terms");
    if !is_finished(&dir) {
        let few = pool.read_range(0..pool.len().min(PROBE))?;
        tamis_examples::note!("scores: {}", scorer.estimate(&few, pool.len())?);
    }
    let report = scorer.run(pool, &dir, &mut Bars::default())?;
    timer.rows(report.rows as u64).resumed(report.resumed > 0);
    if report.resumed == report.rows {
        tamis_examples::note!("scores: all {} samples were done before", pool.len());
    } else {
        record.notes.push(format!(
            "{} forward rows, {} tokens read, {} predicted in this run",
            report.texts, report.tokens, report.targets
        ));
    }
    record.stages.push(timer.finish());
    Ok(read_scores(&dir, scorer.params().ratio)?)
}
