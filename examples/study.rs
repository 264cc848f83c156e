//! What is a choice of training data worth? Train on it, let the model answer, compare the answers.
//!
//! ```text
//! cargo run --release -p tamis-examples --example study -- \
//!     --model MODEL --pool train.jsonl --mismatch 0.5 --held-out valid.jsonl --test test.jsonl \
//!     --methods random,perplexity,gdig-kfac --budgets 250,500,1000 --repeats 3 --out out/study
//! ```
//!
//! For every method × budget × repeat: choose, fine-tune the starting model on the choice, answer
//! the test set greedily. `--mismatch` gives part of the pool wrong answers, so that it is known how
//! clean each choice is. Everything is kept in `--out`; run the same command again after an
//! interruption, or with more methods, and only what is missing is done.
//!
//! You should see a line for every cell with the time that is left, and in the end a table of every
//! method against the random choice of the same size, with intervals. `--out` then holds
//! `results.jsonl`, `table.md`, `report.html`, `run.json` and the answers of every cell, for the
//! methods, budgets and repeats of the command.

use std::num::NonZeroUsize;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::json;
use tamis::artifact::{Provenance, StoreWriter};
use tamis::dataset::{Encodings, Source};
use tamis::finetune::FinetuneError;
use tamis::model::{CausalLm, DeviceSpec, configure_threads};
use tamis::report::{RunRecord, StageTimer};
use tamis_examples::study::{
    Cell, Evidence, Flags, Grid, Kind, Method, NotFinite, Texts, results, spoil,
};
use tamis_examples::{TextFlags, refuse_overwriting};

/// Result files, which no input may be.
const WRITTEN: [&str; 4] = ["results.jsonl", "table.md", "run.json", "report.html"];

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let mut record = RunRecord::start("study", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    record.environment.threads = Some(threads.count);
    record.seeds.set("seed", flags.seed);
    let results = flags.results.as_ref().unwrap_or(&flags.out);
    for input in [&flags.model.model, &flags.pool, &flags.held_out, &flags.test] {
        refuse_overwriting(input, &flags.out, &["pool.jsonl"])?;
        refuse_overwriting(input, results, &WRITTEN)?;
        record.add_input(input)?;
    }

    // The data: rows to choose from, clean rows held out, the test.
    let encoder = flags.text.encoder(&flags.model)?;
    let (source, held_out) = (flags.text.open(&flags.pool)?, flags.text.open(&flags.held_out)?);
    let test = flags.text.open(&flags.test)?;
    let rows = flags.rows.clone().unwrap_or(0..source.len());
    ensure!(
        rows.end <= source.len(),
        "--rows ends at {}, but the pool has {}",
        rows.end,
        source.len()
    );
    flags.check(rows.len())?;
    let (clean_rows, unusable) = Encodings::new(&held_out, &encoder).read_all()?;
    if let Some(row) = unusable.first() {
        bail!("row {} of --held-out cannot be used: {}", row.id, row.reason);
    }
    let needed = flags.seed_rows + flags.valid_rows;
    ensure!(
        flags.valid_rows > 0 && clean_rows.len() >= needed,
        "--held-out has {} rows, but {} seeds and {} rows of validation are needed",
        clean_rows.len(),
        flags.seed_rows,
        flags.valid_rows
    );
    let (seeds, validation) = clean_rows[..needed].split_at(flags.seed_rows);
    let texts = Texts::read(&test, flags.test_rows, &encoder)?;

    // What the cells are made from; other cells in the same folder are refused before anything of
    // them is touched.
    let mut model = flags.model.load()?;
    record.environment.device = Some(DeviceSpec::from(model.shape().device).to_string());
    let settings = json!({
        "rows": [rows.start, rows.end],
        "mismatch": flags.mismatch,
        "seed": flags.seed,
        "seed_rows": flags.seed_rows,
        "valid_rows": flags.valid_rows,
        "test_rows": texts.prompts.len(),
        "train": flags.training(),
        "adapt": flags.adaptation(),
        "generate": flags.answering(encoder.tokenizer().eos_id()),
        "headroom": flags.headroom,
        "learning_rates": flags.learning_rates,
    });
    let manifest = Provenance::new()
        .source(source.fingerprint()?)
        .encoder(encoder.description().into())
        .model(model.fingerprint()?)
        .settings(&settings)?
        .made_from("held_out", held_out.fingerprint()?)
        .made_from("test", test.fingerprint()?)
        .manifest("study", 2);
    let store = StoreWriter::create_or_resume(flags.out.join("cells"), &manifest)?;

    // The pool, with noise of which it is known where it is.
    let (file, clean) = spoil(&source.read_range(rows)?, flags.mismatch, flags.seed, &flags.out)?;
    // Whatever the format of the file it is made from.
    let pool = TextFlags { format: None, ..flags.text.clone() }.open(&file)?;
    let (mut data, skipped) = Encodings::new(&pool, &encoder).read_all()?;
    let clean: Vec<bool> =
        data.iter().map(|sample| clean[pool.row(sample.index).unwrap_or(sample.index)]).collect();
    for (place, sample) in data.iter_mut().enumerate() {
        sample.index = place; // From here on, rows are counted without those left out.
    }
    if !skipped.is_empty() {
        record.notes.push(format!("{} rows of the pool cannot be used", skipped.len()));
    }
    flags.check(data.len())?;

    let mut grid = Grid {
        store,
        start: model.parameters().snapshot()?,
        training: flags.training(),
        data: &data,
        validation,
        texts: &texts,
        generator: flags.answering(encoder.tokenizer().eos_id()).check()?,
        encoder: &encoder,
    };
    let evidence = Evidence::new(&flags, &data, seeds);

    let timer = StageTimer::start("grid");
    let cells = run(&flags, &mut grid, &evidence, &mut model, &mut record)?;
    record.stages.push(timer.finish());
    record.counts.set("rows", data.len() as u64);
    record.counts.set("cells", cells.runs.len() as u64);
    results::write(&flags, &cells, &texts, &clean, &data, record)
}

/// Every cell of the grid, by method, budget and repeat; the starting point first.
fn run(
    flags: &Flags,
    grid: &mut Grid<'_>,
    evidence: &Evidence<'_>,
    model: &mut dyn CausalLm,
    record: &mut RunRecord,
) -> Result<results::Cells> {
    let mut cells = results::Cells { start: started(grid, model)?, runs: Vec::new() };
    let mut rates = Vec::new();
    for &budget in &flags.budgets {
        let rate = learning_rate(flags, grid, evidence, model, budget)?;
        let mut note = format!("learning rate at budget {budget}: {rate:e}");
        let edge =
            |worse: fn(&f64, &f64) -> bool| flags.learning_rates.iter().all(|r| worse(r, &rate));
        if flags.learning_rates.len() > 1 && (edge(f64::ge) || edge(f64::le)) {
            note.push_str(" (at the edge of those tried)");
        }
        record.notes.push(note);
        rates.push((budget, rate));
    }
    let methods = flags.methods.iter().copied();
    let methods: Vec<Method> = if flags.methods.contains(&Method::RANDOM) {
        methods.collect()
    } else {
        [Method::RANDOM].into_iter().chain(methods).collect()
    };
    let total = flags.repeats * rates.len() * methods.len();
    let (begun, mut done, mut trained) = (Instant::now(), 0, 0);
    // Repeats outermost: an interrupted study has every cell once before it has any twice.
    for repeat in 0..flags.repeats {
        for &(budget, rate) in &rates {
            for &method in &methods {
                let name = format!("{method}-{budget}-{repeat}").replace([':', '='], "-");
                let first = method.kind == Kind::Random && repeat == 0;
                let known = grid.known(&if first { rate_name(budget, rate) } else { name.clone() });
                let cell = if let Some(cell) = known? {
                    cell
                } else {
                    // Whatever was trained before must not decide what is chosen now.
                    grid.restore(model)?;
                    let chosen = evidence.choose(method, budget, repeat as u64, model)?;
                    trained += 1;
                    match grid.run(model, chosen, rate, repeat as u64) {
                        Ok(cell) => {
                            grid.keep(&name, &cell)?;
                            cell
                        }
                        Err(error) if diverged(&error) => {
                            let note = format!("{name} is missing: {error:#}");
                            tamis_examples::note!("{note}");
                            record.notes.push(note);
                            done += 1;
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                };
                done += 1;
                let pace = begun.elapsed().as_secs_f64() / f64::from(trained.max(1));
                tamis_examples::note!(
                    "{done} of {total}: {method}, {budget} rows, repeat {repeat}: validation loss \
                     {:.3}, {:.0} s; at most {:.0} min left",
                    cell.validation,
                    cell.seconds,
                    pace * (total - done) as f64 / 60.0
                );
                cells.runs.push(results::Run { method, budget, repeat, cell });
            }
        }
    }
    Ok(cells)
}

/// The starting point itself, without training.
fn started(grid: &mut Grid<'_>, model: &mut dyn CausalLm) -> Result<Cell> {
    if let Some(cell) = grid.known("start")? {
        return Ok(cell);
    }
    let cell = grid.run(model, Vec::new(), 0.0, 0)?;
    grid.keep("start", &cell)?;
    Ok(cell)
}

/// The learning rate with which a random choice of this size leads to the lowest validation loss.
fn learning_rate(
    flags: &Flags,
    grid: &mut Grid<'_>,
    evidence: &Evidence<'_>,
    model: &mut dyn CausalLm,
    budget: usize,
) -> Result<f64> {
    let mut best: Option<(f64, f64)> = None;
    for &rate in &flags.learning_rates {
        let name = rate_name(budget, rate);
        let cell = if let Some(cell) = grid.known(&name)? {
            cell
        } else {
            grid.restore(model)?;
            let chosen = evidence.choose(Method::RANDOM, budget, 0, model)?;
            let cell = match grid.run(model, chosen, rate, 0) {
                Ok(cell) => cell,
                Err(error) if diverged(&error) => {
                    tamis_examples::note!("learning rate {rate:e}, {budget} rows: {error:#}");
                    continue;
                }
                Err(error) => return Err(error),
            };
            grid.keep(&name, &cell)?;
            cell
        };
        tamis_examples::note!(
            "learning rate {rate:e}, {budget} rows: validation loss {:.3}, {:.0} s",
            cell.validation,
            cell.seconds
        );
        if best.is_none_or(|(_, loss)| cell.validation < loss) {
            best = Some((rate, cell.validation));
        }
    }
    best.map(|(rate, _)| rate)
        .with_context(|| format!("training diverged at every learning rate with {budget} rows"))
}

fn diverged(error: &anyhow::Error) -> bool {
    error.is::<NotFinite>() || matches!(error.downcast_ref(), Some(FinetuneError::Diverged { .. }))
}

/// Name of the cell that tries a learning rate on a random choice, the first repeat of that method.
fn rate_name(budget: usize, rate: f64) -> String {
    format!("rate-{budget}-{rate:e}")
}
