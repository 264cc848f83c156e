//! Selective Reflection-Tuning (arXiv 2402.10110): a teacher rewrites instruction data, the student
//! that is to be trained on it keeps what it can learn more from.
//!
//! ```text
//! cargo run --release -p tamis-examples --example reflect -- \
//!     --model STUDENT --pool pool.jsonl --out out/reflect \
//!     --server http://127.0.0.1:8000/v1 --server-model TEACHER
//! ```
//!
//! For every record the teacher criticises instruction and answer and writes a better pair; the
//! student keeps it if its IFD is higher. Then the teacher writes a better answer to the instruction
//! that was kept; the student keeps it if its reversed IFD is lower. The final set is, by the
//! published rule, the records whose answer was replaced and whose IFD and reversed IFD are below 1.
//! `--method` has the published comparisons, `--rule` other final sets. The teacher is a server
//! (`--server`), a model on this machine (`--local`), or the replies of an earlier run (`--recorded`).
//!
//! You should see a bar, then how often the teacher was readable and the student agreed, and in
//! `--out`: `selected.jsonl` (the final set: rewritten records as new rows of the same form, untouched ones
//! as they came), `original.jsonl` (the same records as they came), `scores.jsonl` (every proposal, score and
//! decision), `run.json` and `report.html`. Interrupted at any moment, the same command goes on, and
//! asks for nothing that was answered.

use std::fs;
use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use clap::Parser;
use serde_json::json;
use tamis::artifact::Progress;
use tamis::dataset::Subset;
use tamis::model::{CausalLm, DeviceSpec, configure_threads};
use tamis::reflection::ScoringStudent;
use tamis::report::{RunRecord, StageTimer};
use tamis_examples::reflect::{Flags, Found};
use tamis_examples::{Bars, refuse_overwriting, say_results};

/// Result files, which no input may be.
const WRITTEN: [&str; 7] = [
    "selected.*",
    "original.*",
    "scores.jsonl",
    "run.json",
    "report.html",
    "journal.jsonl",
    "answers.jsonl",
];

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let mut record = RunRecord::start("reflect", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    let pool = flags.open()?;
    for input in [&flags.model.model, &flags.pool] {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }
    let rows =
        Subset::new(&pool, (0..flags.limit.unwrap_or(pool.len()).min(pool.len())).collect())?;
    let reflection = flags.params().check(flags.teacher.prompts()?)?;

    // Who writes, and who decides.
    fs::create_dir_all(&flags.out).with_context(|| format!("making {}", flags.out.display()))?;
    let teacher = flags.teacher.open(&flags.out)?;
    let model = flags.model.load()?;
    let tokenizer = model.tokenizer()?.clone();
    let mut student = ScoringStudent::new(&model, tokenizer, &flags.scoring()?)
        .map_err(anyhow::Error::from_boxed)?;
    record.environment.threads = Some(threads.count);
    record.environment.device = Some(DeviceSpec::from(model.shape().device).to_string());

    // The work.
    let mut timer = StageTimer::start("reflect");
    let journal = flags.out.join("journal.jsonl");
    let mut bars = Bars::default();
    let reflected = reflection.run(&rows, &teacher, &mut student, journal, &mut bars);
    if reflected.is_err() {
        Progress::finish(&mut bars);
    }
    let reflected = reflected?;
    timer.rows(reflected.work.records as u64).resumed(reflected.work.resumed > 0);
    record.stages.push(timer.finish());
    record.notes.push(format!("work of this run: {}", json!(reflected.work)));
    record.notes.push(format!("asked in this run: {}", json!(teacher.spent())));

    // What came of it.
    let found = Found { pool: &pool, outcomes: &reflected.outcomes };
    found.count(&mut record);
    let files = found.write(&flags.out, &flags.exports.like(&flags.text)?, record)?;
    say_results(found.summary(&teacher.spent()).trim_end(), &files)
}
