//! One-shot selection by embeddings: k-center as in `DiverseEvol` (arXiv 2311.08182), facility
//! location, QDIT (arXiv 2311.14736), k-means or random.
//!
//! ```text
//! cargo run --release -p tamis-examples --example select -- \
//!     --embeddings rows.npy --data rows.jsonl --strategy k-center --budget 1000 --out out/select
//! ```
//!
//! Embeddings may come from anywhere (`.npy`, `.safetensors`, `.parquet`); with `--model DIR` in
//! place of `--embeddings` they are computed first: hidden states of a language model, averaged over
//! the tokens of each row.
//!
//! You should see how far the chosen rows cover the pool, beside random choices of the same size, and
//! in `--out`: `selected.jsonl` (the chosen rows as they came), `scores.jsonl` (when each was picked,
//! and why), `run.json` and `report.html`. `compare` puts it beside any other selections.

use std::num::NonZeroUsize;

use anyhow::Result;
use clap::Parser;
use tamis::model::configure_threads;
use tamis::report::{RunRecord, StageTimer};
use tamis_examples::select::{Candidates, Choice, Flags, Found, Request, compare, embed};
use tamis_examples::{refuse_overwriting, say_results};

/// Result files, which no input may be.
const WRITTEN: [&str; 4] = ["selected.*", "scores.jsonl", "run.json", "report.html"];

fn main() -> Result<()> {
    let flags = Flags::parse();
    flags.check()?;
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let mut record = RunRecord::start("select", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    record.seeds.set("seed", flags.seed);
    record.environment.threads = Some(threads.count);
    let inputs = [&flags.embeddings, &flags.data, &flags.model, &flags.quality];
    for input in inputs.into_iter().flatten() {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }

    // 1. Rows and their embeddings.
    let data = flags.open()?;
    let embeddings = match (flags.model(), &data) {
        (Some(model), Some(data)) => {
            // What cannot be chosen is not embedded first.
            Request::read(&flags, &Candidates::expected(data)?)?;
            embed(&flags, &model, data, &mut record)?
        }
        _ => flags.stored()?,
    };
    let candidates = Candidates::join(data.as_ref(), &embeddings, flags.in_order)?;
    let request = Request::read(&flags, &candidates)?;

    // 2. The choice.
    let mut timer = StageTimer::start("select");
    let choice = Choice::make(&flags, &request, &candidates, &embeddings)?;
    timer.rows(embeddings.len() as u64);
    record.stages.push(timer.finish());

    // 3. What it is worth, beside random choices of the same size.
    let timer = StageTimer::start("compare");
    let compared = compare(&flags, &candidates, &embeddings, &choice)?;
    record.stages.push(timer.finish());

    // 4. What was found, and why.
    let found = Found {
        flags: &flags,
        data: data.as_ref(),
        embeddings: &embeddings,
        candidates: &candidates,
        choice: &choice,
        compared: &compared,
    };
    found.count(&mut record);
    let written = found.write(record)?;
    say_results(found.summary(), &written)
}
