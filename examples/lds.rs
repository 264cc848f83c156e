//! How good are scores of training samples? The linear datamodelling score (arXiv 2303.14186).
//!
//! ```text
//! cargo run --release -p tamis-examples --example lds -- \
//!     --model MODEL --pool pool.jsonl --queries queries.jsonl --out out/lds
//! ```
//!
//! The model is fine-tuned again and again, each time from the same start on another random half of the
//! pool, and the loss of every query is measured: the bank. Then each strategy scores every sample
//! against every query, at the model that was fine-tuned on the whole pool. A good strategy foretells
//! from the sum of the scores of a half what training on that half does to a query: its score is
//! the rank correlation of the two over the halves, the mean over the queries.
//!
//! You should see a line for every training with the time that is left, and in the end a table. `--out`
//! then holds `bank.jsonl`, `halves.jsonl`, `lds.json`, `report.html` and `run.json`. Run the same command again after an
//! interruption, or with more halves, repeats or strategies, and only what is missing is done.

use std::num::NonZeroUsize;

use anyhow::{Result, bail};
use clap::Parser;
use tamis::dataset::Encodings;
use tamis::metrics::{BootstrapParams, compare_attributions, linear_datamodelling_score};
use tamis::model::{CausalLm, DeviceSpec, configure_threads};
use tamis::report::{RunRecord, StageTimer};
use tamis_examples::lds::{Bank, Flags, Results, Scored, Scorer, Scores, half, write};
use tamis_examples::{adapt, check_lengths, refuse_overwriting};

/// Result files, which no input may be.
const WRITTEN: [&str; 5] = ["bank.jsonl", "halves.jsonl", "lds.json", "run.json", "report.html"];

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let mut record = RunRecord::start("lds", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    record.seeds.set("seed", flags.seed);
    record.environment.threads = Some(threads.count);

    // Data and model.
    let (pool, asked) = (flags.text.open(&flags.pool)?, flags.text.open(&flags.queries)?);
    for input in [&flags.model.model, &flags.pool, &flags.queries] {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }
    let encoder = flags.text.encoder(&flags.model)?;
    let (queries, unusable) = Encodings::new(&asked, &encoder).read_all()?;
    if let Some(query) = unusable.first() {
        let row = asked.row(query.index).unwrap_or(query.index);
        bail!("query {} (row {row}) cannot be used: {}", query.id, query.reason);
    }
    let (data, skipped) = Encodings::new(&pool, &encoder).read_all()?;
    flags.check(data.len())?;
    record
        .notes
        .extend(skipped.iter().map(|row| format!("row {} left out: {}", row.id, row.reason)));
    let mut model = flags.model.load()?;
    check_lengths(&Encodings::of(&data), &queries, model.shape().max_positions)?;
    let layers = flags.layers.select(model.layers())?;
    record.environment.device = Some(DeviceSpec::from(model.shape().device).to_string());
    // 1. What training on halves of the pool does.
    std::fs::create_dir_all(&flags.out)?;
    let mut timer = StageTimer::start("bank");
    let (start, training) = (model.parameters().snapshot()?, flags.training());
    let bank = Bank { start, training: training.clone(), data: &data, queries: &queries };
    let path = flags.out.join("bank.jsonl");
    let repeats = bank.run(&mut model, flags.subsets, flags.repeats, &path)?;
    timer.rows((flags.subsets * flags.repeats) as u64);
    record.stages.push(timer.finish());

    // 2. The model that is scored at.
    let mut timer = StageTimer::start("adapt");
    model.parameters().copy_from(&bank.start)?;
    let (model, adapted) = adapt(&flags.model, model, &Encodings::of(&data), training, &flags.out)?;
    timer.rows(data.len() as u64).resumed(adapted.resumed);
    record.stages.push(timer.finish());

    // 3. Scores, and what they foretell.
    let halves: Vec<Vec<usize>> =
        (0..flags.subsets).map(|n| half(data.len(), n, flags.seed)).collect();
    let losses = mean_over(&repeats);
    let bootstrap = BootstrapParams { seed: flags.seed, ..BootstrapParams::default() }.check()?;
    let (model, layers) = (&model, layers.as_slice());
    let scorer = Scorer { flags: &flags, model, layers, data: &data, queries: &queries };
    let (mut strategies, mut previous): (_, Option<Scores>) = (Vec::new(), None);
    for &strategy in &flags.strategies {
        let timer = StageTimer::start(strategy.to_string());
        let scores = scorer.scores(strategy)?;
        let lds = linear_datamodelling_score(&scores.scores, &halves, &losses, &bootstrap)?;
        tamis_examples::note!("{strategy}: {:.3}", lds.score);
        let compare = |before: Scores| {
            compare_attributions(&scores.scores, &before.scores, &halves, &losses, &bootstrap)
        };
        let against_previous = previous.take().map(compare).transpose()?;
        strategies.push(Scored { strategy, seconds: scores.seconds, lds, against_previous });
        previous = Some(scores);
        record.stages.push(timer.finish());
    }

    // 4. Results.
    let (agreement, ceiling) = Results::ceiling(&repeats)?;
    let results = Results {
        samples: data.len(),
        queries: queries.iter().map(|query| query.id.to_string()).collect(),
        subsets: flags.subsets,
        repeats: flags.repeats,
        agreement,
        ceiling,
        strategies,
    };
    write(&flags, &results, &halves, record)
}

/// The mean loss of every query after the trainings on each half.
fn mean_over(repeats: &[Vec<Vec<f64>>]) -> Vec<Vec<f64>> {
    let mut mean = repeats[0].clone();
    for (half, row) in mean.iter_mut().enumerate() {
        for (query, loss) in row.iter_mut().enumerate() {
            let sum: f64 = repeats.iter().map(|losses| losses[half][query]).sum();
            *loss = sum / repeats.len() as f64;
        }
    }
    mean
}
