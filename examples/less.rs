//! LESS (arXiv 2402.04333): choose the rows whose gradients point where those of target tasks do.
//!
//! ```text
//! cargo run --release -p tamis-examples --example less -- \
//!     --model MODEL --pool pool.jsonl --target qa=qa.jsonl --target math=math.jsonl \
//!     --budget 500 --out out/less
//! ```
//!
//! A low-rank adapter is first trained for some epochs on a random share of the pool. At the end of
//! each epoch, every row of the pool has a direction: the step that Adam would take along the row's
//! gradient. It is kept in few numbers. The examples of a task have one as well, their mean gradient. A
//! row's score is the cosine of the two, averaged over the epochs by their learning rates.
//!
//! You should see a bar for the warm-up and one for each epoch, then how many rows each task gave, and in
//! `--out`: `selected.jsonl` (the chosen rows as they came), `scores.jsonl`, `run.json` and
//! `report.html`. Run the same command again after an interruption and it goes on where it was; with other
//! targets it computes nothing but these.

use std::num::NonZeroUsize;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tamis::dataset::{Encoded, Encodings};
use tamis::gradients::{GradientPass, RowStore, Sink};
use tamis::less::{Directions, LessScores, WarmCheckpoint, target_direction};
use tamis::model::{CausalLm, DeviceSpec, configure_threads};
use tamis::report::{RunRecord, StageTimer};
use tamis::selection::targets::Target;
use tamis_examples::less::{Flags, warm_up};
use tamis_examples::targeted::Found;
use tamis_examples::{Bars, check_lengths, refuse_overwriting, say_results};
use tch::Tensor;

/// Result files, which no input may be.
const WRITTEN: [&str; 4] = ["selected.*", "scores.jsonl", "run.json", "report.html"];

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let mut record = RunRecord::start("less", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    record.seeds.set("seed", flags.seed);

    // Data and model.
    let pool = flags.text.open(&flags.pool)?;
    let files = flags.targets.targets.iter().map(|target| &target.path);
    for input in [&flags.model.model, &flags.pool].into_iter().chain(files) {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }
    let (budget, rows) = (flags.targets.budget, pool.len());
    ensure!(
        (1..=rows).contains(&budget),
        "--budget is {budget}, but must be between 1 and the {rows} rows of the pool"
    );
    let encoder = flags.text.encoder(&flags.model)?;
    let samples = Encodings::new(&pool, &encoder);
    let mut tasks: Vec<(String, Vec<Encoded>)> = Vec::new();
    for (name, file) in flags.targets.open()? {
        let (mut examples, unusable) = Encodings::new(&file, &encoder).read_all()?;
        for example in &mut examples {
            example.index = file.row(example.index).unwrap_or(example.index);
        }
        let left_out = unusable.len();
        if let (true, Some(row)) = (examples.is_empty(), unusable.first()) {
            bail!("target {name}: no row can be used; {}: {}", row.id, row.reason);
        }
        record
            .notes
            .push(format!("target {name}: {} examples, {left_out} rows left out", examples.len()));
        tasks.push((name, examples));
    }
    let mut model = flags.model.load()?;
    record.environment.threads = Some(threads.count);
    record.environment.device = Some(DeviceSpec::from(model.shape().device).to_string());
    let longest = model.shape().max_positions;
    for (name, examples) in &tasks {
        check_lengths(&Encodings::of(examples), &[], longest)
            .with_context(|| format!("target {name}"))?;
    }
    let done = (1..=flags.epochs).all(|epoch| complete(&flags, epoch));
    if !done {
        let usable = check_lengths(&samples, &[], longest)?;
        ensure!(
            budget <= usable,
            "--budget is {budget}, but only {usable} rows of the pool can be used"
        );
    }

    // 1. The warm-up.
    let mut timer = StageTimer::start("warm-up");
    let warmup = warm_up(&flags, &mut model, &samples)?;
    timer.rows(warmup.rows as u64).resumed(warmup.resumed);
    record.stages.push(timer.finish());
    record.notes.push(format!("mean loss of the warm-up's epochs: {:.4?}", warmup.losses));

    // 2. For each epoch: features of the pool, and where the targets point.
    let mut scores =
        LessScores::new(tasks.iter().map(|(name, _)| Target::new(name, name)).collect());
    for (n, folder) in warmup.checkpoints.iter().enumerate() {
        let mut checkpoint = WarmCheckpoint::open(folder, &model)?;
        let (directions, store) =
            epoch(&flags, n + 1, (&mut model, &mut checkpoint), (&samples, &tasks), &mut record)?;
        let directions = Directions::new(directions, &checkpoint, &flags.features());
        scores.add(&directions, &store)?;
        record.notes.push(format!("epoch {}: mean learning rate {:e}", n + 1, checkpoint.rate()));
    }

    // 3. The choice.
    let timer = StageTimer::start("select");
    let scores = scores.finish()?;
    let selection = flags.rule().choose(&scores, budget)?;
    record.stages.push(timer.finish());

    // 4. What was found, and why.
    let found = Found {
        title: "LESS selection",
        meaning: "Cosine of Adam's step along the row's gradient with the mean gradient of a task's examples, \
                  averaged over the epochs by their learning rates.",
        pool: &pool,
        scores: &scores,
        rule: flags.rule(),
        selection: &selection,
    };
    let files = found.write(&flags.out, &flags.exports.like(&flags.text)?, record)?;
    say_results(found.summary()?, &files)
}

/// Whether the rows of an epoch are all there.
fn complete(flags: &Flags, epoch: usize) -> bool {
    RowStore::open(flags.store_folder(epoch)).is_ok()
}

/// Step 2 for one epoch: where each task points, and the stored features of the pool.
fn epoch(
    flags: &Flags,
    number: usize,
    (model, checkpoint): (&mut dyn CausalLm, &mut WarmCheckpoint),
    (samples, tasks): (&Encodings<'_>, &[(String, Vec<Encoded>)]),
    record: &mut RunRecord,
) -> Result<(Tensor, RowStore)> {
    let (layers, params) = (checkpoint.layers(model), flags.features());
    let features = checkpoint.features(&layers, &params)?;
    let of_targets = checkpoint.target_features(&layers, &params)?;
    if number == 1 {
        let passing = (&flags.passing(), flags.row_type);
        let needs = checkpoint.estimate(model, &params, passing, samples.len());
        tamis_examples::note!(
            "features: {} layers, {} numbers, {needs}",
            layers.len(),
            checkpoint.lora().count()
        );
    }
    let adapted = checkpoint.adapted(model);
    let pass = GradientPass { model: &adapted, layers: &layers, params: flags.passing().check()? };
    let mut timer = StageTimer::start(format!("features {number}"));
    let sink = Sink::new(&features, "less", flags.store_folder(number), flags.row_type);
    let (mut stores, report) = pass.run(samples, &[sink], &mut Bars::default())?;
    let store = stores.pop().context("the stored features")?;
    timer.rows(report.rows as u64).resumed(report.resumed > 0);
    record.stages.push(timer.finish());

    let mut timer = StageTimer::start(format!("targets {number}"));
    timer.rows(tasks.iter().map(|(_, examples)| examples.len() as u64).sum());
    let directions = tasks
        .iter()
        .map(|(name, examples)| Ok(target_direction(&pass, &of_targets, name, examples)?))
        .collect::<Result<Vec<Tensor>>>()?;
    record.stages.push(timer.finish());
    Ok((Tensor::f_stack(&directions, 0)?, store))
}
