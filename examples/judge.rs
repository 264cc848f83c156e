//! Which of two models answers better, by the verdict of a third: pairwise, in both orders.
//!
//! ```text
//! cargo run --release -p tamis-examples --example judge -- \
//!     --questions questions.jsonl --answers new.jsonl --reference old.jsonl --out out/judge \
//!     --server http://127.0.0.1:8000/v1 --server-model JUDGE
//! ```
//!
//! Questions are rows of instruction data; answers are what `generate` writes for them (JSON lines
//! with `id` and `output`). Without `--reference` the answers in the questions' file are the
//! reference. The judge sees each pair twice, with either answer first, and gives both a grade from 0
//! to 10; the sign of the difference over both orders is a win, a tie or a loss. A reply that is not in
//! that form is counted as a failure.
//!
//! You should see a bar, then wins, ties, losses, the winning and the relative score with an interval
//! and p, and how far place and length decided; and in `--out`: `scores.jsonl` (every reply),
//! `tally.json`, `run.json` and `report.html`. The same command goes on after an interruption, and asks
//! for nothing that was answered.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use serde::Serialize;
use serde_json::json;
use tamis::artifact::{Progress, write_atomic};
use tamis::metrics::BootstrapParams;
use tamis::reflection::JudgeParams;
use tamis::report::{RunRecord, StageTimer, write_jsonl};
use tamis_examples::judge::{contests, page, summary};
use tamis_examples::{
    Bars, TeacherFlags, begin_results, end_results, open_rows, refuse_overwriting, say,
};

/// Result files, which no input may be.
const WRITTEN: [&str; 6] =
    ["scores.jsonl", "tally.json", "run.json", "report.html", "journal.jsonl", "answers.jsonl"];

/// Which of two models answers better, by the verdict of a third.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(version)]
struct Flags {
    /// Questions: rows of instruction data, whose answers may be missing if --reference is given
    #[arg(long, value_name = "FILE")]
    questions: PathBuf,
    /// Answers on trial: JSON lines with `id` and `output`
    #[arg(long, value_name = "FILE")]
    answers: PathBuf,
    /// Answers that they are compared with [default: those of the questions' file]
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Folder for results and for everything needed to go on after an interruption
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Only the first so many questions
    #[arg(long)]
    limit: Option<usize>,
    /// Leave rows out that cannot be read (listed in run.json) instead of stopping at the first
    #[arg(long)]
    skip_bad_rows: bool,
    /// Print the tally as one JSON object
    #[arg(long)]
    json: bool,
    /// Resamples of the intervals
    #[arg(long, default_value_t = 1000)]
    resamples: usize,
    /// Seed of the resamples
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Who judges.
    #[command(flatten, next_help_heading = "Judge")]
    judge: TeacherFlags,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let mut record = RunRecord::start("judge", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    for input in [&flags.questions, &flags.answers].into_iter().chain(&flags.reference) {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }
    let optional = flags.reference.is_some();
    let questions = open_rows(&flags.questions, None, flags.skip_bad_rows, optional)?;
    let samples =
        questions.read_range(0..flags.limit.unwrap_or(questions.len()).min(questions.len()))?;
    let rejects = questions.rejects();
    record.notes.extend(rejects.iter().map(|reject| format!("not read: {reject}")));
    record.counts.set("read", (samples.len() + rejects.len()) as u64);
    record.counts.set("rejected", rejects.len() as u64);
    let contests = contests(&samples, &flags.answers, flags.reference.as_deref())?;
    let bootstrap = BootstrapParams {
        resamples: flags.resamples,
        seed: flags.seed,
        ..BootstrapParams::default()
    };
    let published = JudgeParams::default();
    let decoding = flags.judge.decoding(published.decoding.max_tokens);
    let judge = JudgeParams { decoding, bootstrap, ..published }.check(flags.judge.prompts()?)?;

    fs::create_dir_all(&flags.out).with_context(|| format!("making {}", flags.out.display()))?;
    let teacher = flags.judge.open(&flags.out)?;
    let mut timer = StageTimer::start("judge");
    let journal = flags.out.join("journal.jsonl");
    let mut bars = Bars::default();
    let judgement = judge.run(&contests, &teacher, journal, &mut bars);
    if judgement.is_err() {
        Progress::finish(&mut bars);
    }
    let judgement = judgement?;
    timer.rows(contests.len() as u64);
    record.stages.push(timer.finish());
    record.notes.push(format!("asked in this run: {}", json!(teacher.spent())));

    let tally = &judgement.tally;
    for (name, count) in [
        ("wins", tally.wins),
        ("ties", tally.ties),
        ("losses", tally.losses),
        ("failed", tally.failed),
        ("unanswered", tally.unanswered),
    ] {
        record.counts.set(name, count as u64);
    }
    begin_results(&flags.out)?;
    let files = ["scores.jsonl", "tally.json"].map(|name| flags.out.join(name));
    write_jsonl(&files[0], &judgement.contests)?;
    write_atomic(&files[1], serde_json::to_string_pretty(tally)? + "\n")?;
    end_results(&flags.out, files.into(), record, |record| {
        Ok(page(&contests, &judgement, record))
    })?;
    if flags.json { say(serde_json::to_string(tally)? + "\n") } else { say(summary(tally)) }
}
