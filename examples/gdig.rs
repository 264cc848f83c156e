//! G-DIG (arXiv 2405.12915): choose training data that is good and diverse by what gradients say.
//!
//! ```text
//! cargo run --release -p tamis-examples --example gdig -- \
//!     --model MODEL --pool pool.jsonl --seeds seeds.jsonl --budget 500 --out out/gdig
//! ```
//!
//! The model is first adapted on the raw pool. Then every candidate's gradient is compared with
//! those of the seeds, a small set of samples that are known to be good: a candidate is helpful if
//! training on it would lower the seeds' losses (influence functions with K-FAC curvature). The
//! gradients of the helpful ones are clustered, and the budget is drawn evenly over the clusters.
//!
//! You should see a bar for each stage, then a short table, and in `--out`: `selected.jsonl` (the
//! chosen rows as they came), `scores.jsonl`, `run.json` and `report.html`. Run the same command
//! again after an interruption and it goes on where it was.

use std::num::NonZeroUsize;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::json;
use tamis::artifact::{Bytes, Fingerprint, hash_bytes};
use tamis::clustering::{KMeansParams, Resample};
use tamis::dataset::{Encoded, Encodings};
use tamis::gradients::{GradientPass, GradientVectors, Projection, ProjectionSpec, RowStore, Sink};
use tamis::influence::{Helpful, ScoreTable, Seeds};
use tamis::kfac::{Curvature, CurvatureFit, CurvatureKind, Fitted, Identity, Spectral};
use tamis::model::{CausalLm, DeviceSpec, LayerInfo, Model, configure_threads};
use tamis::report::{RunRecord, StageTimer, write_jsonl};
use tamis_examples::gdig::{Flags, Found};
use tamis_examples::{Bars, adapt, check_lengths, refuse_overwriting, say_results, write_outputs};

/// Result files, which no input may be.
const WRITTEN: [&str; 5] =
    ["selected.*", "scores.jsonl", "metrics.jsonl", "run.json", "report.html"];

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let mut record = RunRecord::start("gdig", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    record.seeds.set("seed", flags.seed);
    record.seeds.set("draw", flags.draw_seed.unwrap_or(flags.seed));

    // Data and model.
    let (pool, seed_rows) = (flags.text.open(&flags.pool)?, flags.text.open(&flags.seeds)?);
    for input in [&flags.model.model, &flags.pool, &flags.seeds] {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }
    let (budget, rows) = (flags.budget, pool.len());
    ensure!(
        (1..=rows).contains(&budget),
        "--budget is {budget}, but must be between 1 and the {rows} rows of the pool"
    );
    let encoder = flags.text.encoder(&flags.model)?;
    let samples = Encodings::new(&pool, &encoder);
    let (seeds, unusable) = Encodings::new(&seed_rows, &encoder).read_all()?;
    if let Some(seed) = unusable.first() {
        let row = seed_rows.row(seed.index).unwrap_or(seed.index);
        bail!("seed {} (row {row}) cannot be used: {}", seed.id, seed.reason);
    }
    let model = flags.load(&encoder)?;
    let usable = check_lengths(&samples, &seeds, model.shape().max_positions)?;
    ensure!(
        budget <= usable,
        "--budget is {budget}, but only {usable} rows of the pool can be used"
    );
    ensure!(
        flags.headroom >= 1.0 && flags.headroom.is_finite(),
        "--headroom is {}, but must be a finite number of at least 1",
        flags.headroom
    );
    let layers = flags.layers.select(model.layers())?;
    let params = flags.passing().check()?;
    record.environment.threads = Some(threads.count);
    record.environment.device = Some(DeviceSpec::from(model.shape().device).to_string());

    // 1. The model must know the pool before its gradients say anything.
    let (model, losses) = adapted(&flags, model, &samples, usable, &mut record)?;

    // 2. Curvature, fitted on the pool.
    let fitted = fitted(&flags, &model, &layers, &samples, &mut record)?;

    // 3. One pass over the pool: projected gradients, and influence on every seed.
    let pass = GradientPass { model: &model, layers: &layers, params };
    let (gradients, table) = scored(&flags, &pass, &samples, &seeds, &fitted, &mut record)?;

    // 4. Those that help.
    let timer = StageTimer::start("select");
    let enough = (budget as f64 * flags.headroom).ceil() as usize;
    let helpful = flags.rule.apply(&table, budget, enough)?;

    // 5. Evenly over clusters of their gradients.
    let rows = rows_of(&flags, &gradients, &table, &helpful)?;
    let count = helpful.positions.len();
    let draw_seed = flags.draw_seed.unwrap_or(flags.seed);
    let k = flags.clusters.map_or((count as f64).sqrt() as usize, NonZeroUsize::get);
    if k > count {
        let note = format!("{k} clusters asked for, but only {count} rows are helpful");
        tamis_examples::note!("{note}");
        record.notes.push(note);
    }
    let k = k.clamp(1, count);
    let clusters =
        KMeansParams { k, seed: draw_seed, ..KMeansParams::default() }.check()?.fit(&rows)?;
    let best: Vec<f64> =
        helpful.positions.iter().map(|&p| table.candidates[p].mean_normalised()).collect();
    let drawn = Resample { budget, within: flags.within, seed: draw_seed }.draw(
        &clusters.labels,
        Some(&best),
        Some(&clusters.distances),
    )?;
    record.stages.push(timer.finish());

    // 6. What was decided, and why.
    let (scored, used) = (table.candidates.len(), &helpful.used);
    let said = format!(
        "{scored} rows scored, {count} helpful, {k} clusters, {} chosen\nrule: {used}",
        drawn.len()
    );
    let found = Found {
        pool: &pool,
        table: &table,
        helpful: &helpful,
        rows: &rows,
        clusters: &clusters,
        drawn: &drawn,
        losses: &losses,
    };
    found.count(&mut record);
    let lines = found.lines();
    let chosen: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].selected).collect();
    let page = |record: &RunRecord| found.page(&lines, record);
    let exports = flags.exports.like(&flags.text)?;
    let files = write_outputs(&flags.out, &pool, &chosen, &lines, &exports, record, page)?;
    say_results(said, &files)
}

/// Step 1: the adapted model, and the loss of every step on the way.
fn adapted(
    flags: &Flags,
    model: Model,
    samples: &Encodings<'_>,
    usable: usize,
    record: &mut RunRecord,
) -> Result<(Model, Vec<f64>)> {
    if flags.adapted {
        tamis_examples::note!(
            "adapt: skipped, the model is said to be fine-tuned on this pool already"
        );
        record.notes.push("adaptation skipped on request (--adapted)".to_owned());
        return Ok((model, Vec::new()));
    }
    let mut timer = StageTimer::start("adapt");
    let (model, done) = adapt(&flags.model, model, samples, flags.training(), &flags.out)?;
    timer.rows(usable as u64).resumed(done.resumed);
    record.stages.push(timer.finish());
    Ok((model, done.losses))
}

/// Step 2: the curvature, without its damping yet.
fn fitted(
    flags: &Flags,
    model: &dyn CausalLm,
    layers: &[LayerInfo],
    samples: &Encodings<'_>,
    record: &mut RunRecord,
) -> Result<Fitted> {
    let mut timer = StageTimer::start("curvature");
    let count = flags.curvature_samples.map_or(samples.len(), NonZeroUsize::get);
    let drawn = samples.sample(count, flags.seed)?;
    let layers_at_once = flags.curvature_layers.map(NonZeroUsize::get);
    let fit = CurvatureFit { model, layers, params: flags.fitting(), layers_at_once };
    let (kind, bytes) = (flags.curvature, Bytes(fit.bytes(flags.curvature)));
    tamis_examples::note!(
        "curvature: {kind} of {} layers, about {bytes} of memory at the most",
        layers.len()
    );
    let fitted = fit.run(flags.curvature, &drawn, &flags.out, &mut Bars::default())?;
    let left_out = fitted.left_out().iter();
    record.notes.extend(left_out.map(|id| format!("{id}: not finite, left out of the curvature")));
    if flags.curvature != CurvatureKind::Identity {
        timer.rows(drawn.len() as u64).resumed(fitted.resumed());
        record.stages.push(timer.finish());
    }
    Ok(fitted)
}

/// Keeps what the damping does to the spectra, and hands the curvature on.
fn damped(
    flags: &Flags,
    curvature: Option<Spectral>,
    record: &mut RunRecord,
) -> Result<Box<dyn Curvature>> {
    let Some(curvature) = curvature else { return Ok(Box::new(Identity)) };
    write_jsonl(flags.out.join("curvature.jsonl"), curvature.spectra())?;
    let below = curvature.spectra().into_iter().map(|s| s.share_below);
    let (low, high) = below.fold((1.0f64, 0.0f64), |(l, h), b| (l.min(b), h.max(b)));
    record.notes.push(format!(
        "damping {}: {:.1} to {:.1} % of a layer's eigenvalues lie below it",
        flags.damping,
        100.0 * low,
        100.0 * high
    ));
    Ok(Box::new(curvature))
}

/// The projection that rows are stored in.
fn projection(
    flags: &Flags,
    model: &dyn CausalLm,
    layers: &[LayerInfo],
    fitted: &Fitted,
) -> Result<Projection> {
    let shape = model.shape();
    let ProjectionSpec::Pca { out, r#in } = flags.projection else {
        return Ok(flags.projection.build(layers, flags.seed, shape.kind, shape.device)?);
    };
    ensure!(
        !fitted.basis().layers().is_empty(),
        "--projection {} takes the eigenvectors of kfac or ekfac, but --curvature is {}",
        flags.projection,
        flags.curvature
    );
    Ok(fitted.projection(out, r#in)?)
}

/// Step 3: stored gradients, and the scores.
fn scored(
    flags: &Flags,
    pass: &GradientPass<'_>,
    samples: &Encodings<'_>,
    seeds: &[Encoded],
    fitted: &Fitted,
    record: &mut RunRecord,
) -> Result<(RowStore, ScoreTable)> {
    let mut timer = StageTimer::start("gradients");
    let (shape, layers) = (pass.model.shape(), pass.layers);
    let whole = Seeds::bytes(layers, seeds.len(), shape.kind);
    let fresh = flags.fresh(whole);
    let (spec, dtype) = (&flags.projection, flags.row_type);
    let needs = pass.estimate(spec, dtype, samples.len());
    tamis_examples::note!("gradients: {} layers, {needs}", layers.len());
    let how = if fresh { "whole" } else { "projected" };
    tamis_examples::note!(
        "scores: from {how} gradients; whole ones of the seeds take {}",
        Bytes(whole)
    );
    record.notes.push(format!("{} layers; scores from {how} gradients", layers.len()));

    let projection = projection(flags, pass.model, layers, fitted)?;
    let stored = Sink::new(&projection, "gradients", flags.out.join("gradients"), dtype);
    let ids: Vec<_> = seeds.iter().map(|s| s.id.clone()).collect();
    let bars = &mut Bars::default();
    let (table, gradients, report);
    if fresh {
        // Each seed set and curvature has its own scores.
        let made_from = of_seeds(flags, pass, samples, seeds, fitted)?;
        let name = hash_bytes(made_from.value().to_string().as_bytes());
        let folder = flags.out.join("scores").join(&name[..12]);
        let solve = || -> Result<Seeds> {
            let curvature = damped(flags, fitted.spectral(flags.damping)?, record)?;
            Ok(Seeds::new(pass, seeds, curvature.as_ref())?)
        };
        let (scores, stores);
        (scores, stores, report) =
            tamis::influence::scored(pass, samples, &[stored], (&folder, made_from), solve, bars)?;
        gradients = stores.into_iter().next().context("the stored gradients")?;
        table = ScoreTable::from_scores(&scores, &ids)?;
    } else {
        let mut stores;
        (stores, report) = pass.run(samples, &[stored], bars)?;
        gradients = stores.pop().context("the stored gradients")?;
        let inside = fitted.projected(spec, &projection, flags.damping)?;
        let projected = if let Some(inside) = inside {
            // The curvature of what is stored.
            let curvature = damped(flags, Some(inside.curvature), record)?;
            Seeds::solve_projected(pass, seeds, &inside.layers, curvature.as_ref(), &projection)?
        } else {
            let curvature = damped(flags, fitted.spectral(flags.damping)?, record)?;
            Seeds::project(pass, seeds, curvature.as_ref(), &projection)?
        };
        table = ScoreTable::from_gradients(&gradients, &ids, &projected)?;
    }
    if report.resumed == samples.len() {
        tamis_examples::note!("gradients: all {} samples were done before", samples.len());
    }
    if let (true, Some(first)) = (table.candidates.is_empty(), table.skipped.first()) {
        bail!("no row of the pool can be scored; {}: {}", first.id, first.reason);
    }
    timer.rows(report.rows as u64).resumed(report.resumed > 0);
    record.stages.push(timer.finish());
    Ok((gradients, table))
}

/// What decides the solved gradients of the seeds.
fn of_seeds(
    flags: &Flags,
    pass: &GradientPass<'_>,
    samples: &Encodings<'_>,
    seeds: &[Encoded],
    fitted: &Fitted,
) -> Result<Fingerprint> {
    let queries = Encodings::of(seeds).fingerprint()?;
    Ok(json!({
        "queries": queries,
        "curvature": fitted.fingerprint(),
        "damping": flags.damping,
        "pass": pass.provenance(samples)?.fingerprint(),
    })
    .into())
}

/// Projected gradients of the helpful candidates where they are stored, scaled to length 1 unless told otherwise.
fn rows_of(
    flags: &Flags,
    gradients: &RowStore,
    table: &ScoreTable,
    helpful: &Helpful,
) -> Result<GradientVectors> {
    let indices: Vec<usize> =
        helpful.positions.iter().map(|&p| table.candidates[p].info.index).collect();
    let rows = GradientVectors::new(gradients, &indices)?;
    Ok(if flags.keep_norms { rows } else { rows.unit() })
}
