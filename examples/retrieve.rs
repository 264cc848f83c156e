//! Targeted selection without gradients: RDS+ (arXiv 2503.01807), BM25 or a random choice.
//!
//! ```text
//! cargo run --release -p tamis-examples --example retrieve -- \
//!     --model MODEL --pool pool.jsonl --target law=law.jsonl --target chat.jsonl \
//!     --budget 1000 --out out/retrieve
//! ```
//!
//! With `--by rds` every row and every example is read by a model once; its vector is the mean of the
//! last hidden states, later positions weighted more. The tasks then take turns, and within a task its
//! examples, each taking the row with the highest cosine that is left. `--by bm25` compares words
//! instead and needs no model: the baselines that a method with gradients (`less`) should beat.
//!
//! You should see an estimate, a bar with rate and time left, the median score of every task in the
//! pool and among the chosen rows, and in `--out`: `selected.jsonl` (the chosen rows as they came),
//! `scores.jsonl`, `run.json` and `report.html`. Run the same command again after an interruption and
//! it goes on where it was; with other targets or another budget it embeds the pool no second time.

use std::num::NonZeroUsize;

use anyhow::Result;
use clap::Parser;
use tamis::model::configure_threads;
use tamis::report::{RunRecord, StageTimer};
use tamis_examples::retrieve::{By, Flags, by_chance, by_hidden_states, by_words};
use tamis_examples::targeted::Found;
use tamis_examples::{refuse_overwriting, say_results};

/// Result files, which no input may be.
const WRITTEN: [&str; 4] = ["selected.*", "scores.jsonl", "run.json", "report.html"];

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let mut record = RunRecord::start("retrieve", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    record.seeds.set("seed", flags.seed);
    record.environment.threads = Some(threads.count);
    let targets = flags.targets.targets.iter().map(|target| &target.path);
    for input in targets.chain(&flags.model).chain([&flags.pool]) {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }

    // 1. The pool, and the examples of every task: each a target of its own.
    let pool = flags.open()?;
    let targets = if flags.by == By::Random { Vec::new() } else { flags.targets.read()? };

    // 2. Scores.
    let timer = StageTimer::start("scores");
    let scores = match flags.by {
        By::Rds => by_hidden_states(&flags, &pool, targets, &mut record)?,
        By::Bm25 => by_words(&flags, &pool, &targets)?,
        By::Random => by_chance(&flags, &pool)?,
    };
    if flags.by != By::Rds {
        record.stages.push(timer.finish()); // that of rds is in the record already
    }

    // 3. The choice.
    let rule = flags.rule();
    let selection = rule.choose(&scores, flags.targets.budget)?;

    // 4. What was found, and why.
    let (title, meaning) = ("Targeted selection", flags.by.meaning());
    let found = Found { title, meaning, pool: &pool, scores: &scores, rule, selection: &selection };
    let files = found.write(&flags.out, &flags.exports()?, record)?;
    say_results(found.summary()?, &files)
}
