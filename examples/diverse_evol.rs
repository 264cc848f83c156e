//! `DiverseEvol` (arXiv 2311.08182): a model grows its own training set, round by round.
//!
//! ```text
//! cargo run --release -p tamis-examples --example diverse_evol -- \
//!     --model MODEL --pool rows.jsonl --template alpaca --out out/evol --eval-data held_out.jsonl
//! ```
//!
//! A few rows are drawn at random. Each round then trains a *fresh* copy of the model on all rows
//! chosen so far, embeds every row of the pool with it, and adds the rows that are farthest from
//! those chosen (k-center), or that another strategy prefers.
//!
//! You should see a line for each stage with bars for the long ones, and in `--out`:
//! `selected.jsonl` (the chosen rows as they came), `scores.jsonl` (when and why each was chosen),
//! `rounds.jsonl` (size, losses, coverage radius), `run.json`, `report.html`, and a folder for each
//! round with its training set, model and embeddings. Run the same command again after an
//! interruption and it goes on where it was.

use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Result, ensure};
use clap::Parser;
use tamis::model::{CausalLm, DeviceSpec, configure_threads};
use tamis::report::{RunRecord, StageTimer, write_jsonl};
use tamis_examples::diverse_evol::{AnyTrainer, Candidates, Flags, Found, ModelViewer, Telling};
use tamis_examples::finetune::read;
use tamis_examples::{
    check_lengths, refuse_inside, refuse_overwriting, say_results, write_outputs,
};

/// Result files, which no input may be.
const WRITTEN: [&str; 5] =
    ["selected.*", "scores.jsonl", "rounds.jsonl", "run.json", "report.html"];

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let evol = flags.evolution().check()?;
    let mut record = RunRecord::start("diverse_evol", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags.parameters()?)?;
    record.seeds.set("seed", flags.seed);
    for input in [&flags.model.model, &flags.pool].into_iter().chain(&flags.eval_data) {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
    }
    refuse_inside(&flags.model.model, &flags.out)?;
    record.add_input(&flags.model.model)?;
    record.add_input(&flags.pool)?;

    // The rows, and the base model to check them and the settings against.
    let encoder = flags.text.encoder(&flags.model)?;
    let dataset = flags.text.open(&flags.pool)?;
    let pool = Candidates::read(&dataset, &encoder)?;
    pool.count(&mut record);
    let held_out = match &flags.eval_data {
        Some(path) => Some((read("eval", path, &flags.text, &encoder, &mut record)?, hash(path)?)),
        None => None,
    };
    let held_out = held_out.as_ref().map(|(rows, hash)| (rows.as_slice(), hash.as_str()));
    let base = flags.model.load()?;
    let longest = base.shape().max_positions;
    check_lengths(&pool.encodings(), held_out.map_or(&[], |(rows, _)| rows), longest)?;
    record.environment.threads = Some(threads.count);
    record.environment.device = Some(DeviceSpec::from(base.shape().device).to_string());
    let mut trainer = AnyTrainer::new(&flags, &pool, &base)?;
    let mut viewer = ModelViewer::new(&flags, &pool, held_out, &base)?;
    drop(base); // One model at a time.

    // The rounds.
    let mut timer = StageTimer::start("rounds");
    let base = &flags.model.model;
    let mut telling = Telling::default();
    let grown = evol.run(&pool.rows, base, &flags.out, &mut trainer, &mut viewer, &mut telling)?;
    timer.rows(grown.picks().count() as u64).resumed(telling.before > 0);
    record.stages.push(timer.finish());

    // What was found.
    pool.write_sets(&grown)?;
    let found = Found { flags: &flags, pool: &pool, grown: &grown };
    let mut chosen: Vec<usize> =
        grown.picks().map(|pick| pool.rows.positions()[pick.index]).collect();
    chosen.sort_unstable();
    record.counts.set("rounds", grown.rounds.len() as u64);
    record.counts.set("selected", chosen.len() as u64);
    let rounds = flags.out.join("rounds.jsonl");
    write_jsonl(&rounds, found.rounds())?;
    record.add_output(&rounds)?;
    let page = |record: &RunRecord| found.page(record);
    let (lines, exports) = (found.lines()?, flags.exports.like(&flags.text)?);
    let written = write_outputs(&flags.out, &dataset, &chosen, &lines, &exports, record, page)?;
    let files = [vec![rounds], written].concat();
    say_results(found.summary(), &files)
}

/// Names the content of a file.
fn hash(path: &Path) -> Result<String> {
    ensure!(path.is_file(), "{} is no file", path.display());
    Ok(tamis::artifact::hash_file(path)?)
}
