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

use std::collections::HashMap;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use ndarray::Array2;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tamis::clustering::{KMeansFit, KMeansParams, Resample, Within};
use tamis::dataset::{Dataset, Encoded, Encoder, Outcome};
use tamis::finetune::TrainParams;
use tamis::gradients::{
    Bytes, Estimate, GradientPass, Labels, PassParams, Pool, ProjectionSpec, Reduction, RowStore,
    RowType, Samples, Sink, read_all,
};
use tamis::influence::{Helpful, Rule, ScoreTable, Seeds};
use tamis::kfac::{Curvature, Damping, FactorFit, FactorStore, FitParams, Identity, Kfac, Tokens};
use tamis::model::{CausalLm, LayerInfo, LayerPattern, configure_threads};
use tamis::report::{
    Lengths, LinePlot, Map as Plane, RunRecord, Score, SelectionReport, StageTimer, Tile,
    best_and_worst, principal_plane,
};
use tamis_examples::{Bars, ModelFlags, TextFlags, adapt, examples, write_outputs};
use tch::{Kind, Tensor};

/// Choose instruction data that helps on a seed set and is diverse, by the model's own gradients.
#[derive(Parser, Clone, Debug, Serialize)]
#[command(version, after_help = "\
The rows of --pool and --seeds may be translation pairs, instructions or chats (see --format).
Rules: auto (every seed helped; relaxed if too few rows pass, and says so), all, share:F,
mean, normalised, top:K. A rule or another --clusters on a finished pass takes seconds.
Memory: with --scores fresh the seeds' gradients are held whole; --scores stored compares
projected gradients instead, which is approximate but small.")]
struct Flags {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    text: TextFlags,
    /// Candidates to choose from
    #[arg(long, value_name = "FILE")]
    pool: PathBuf,
    /// A few samples of the quality and kind that is wanted
    #[arg(long, value_name = "FILE")]
    seeds: PathBuf,
    /// Rows to choose
    #[arg(long)]
    budget: usize,
    /// Folder for results and for everything needed to go on after an interruption
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Epochs of fine-tuning on the raw pool before gradients are taken
    #[arg(long, default_value_t = 3)]
    adapt_epochs: usize,
    /// Highest learning rate of the adaptation; 1e-5 suits billions of parameters, 3e-4 a few millions
    #[arg(long, default_value_t = 1e-5)]
    adapt_lr: f64,
    /// Samples per optimizer step of the adaptation
    #[arg(long, default_value_t = 64)]
    adapt_batch: usize,
    /// The model given is fine-tuned on this pool already: do not adapt it
    #[arg(long)]
    adapted: bool,

    /// Layers whose gradients count: a regular expression over their names [default: all but the head]
    #[arg(long, default_value_t)]
    layers: LayerPattern,
    /// kfac, or identity (plain inner products of gradients)
    #[arg(long, value_enum, default_value = "kfac")]
    curvature: CurvatureKind,
    /// Relative to each layer's mean eigenvalue (0.1), absolute:D or tikhonov:C
    #[arg(long, default_value_t)]
    damping: Damping,
    /// Labels for the curvature: sampled from the model (true Fisher) or the data's
    #[arg(long, value_enum, default_value = "sampled")]
    labels: LabelKind,
    /// Samples to fit the curvature on [default: the whole pool]
    #[arg(long)]
    curvature_samples: Option<usize>,
    /// Stored form of a gradient: OUTxIN per layer, gaussian:OUTxIN, sparse:DIM or full
    #[arg(long, default_value_t)]
    projection: ProjectionSpec,
    /// Number type of stored rows: f16, bf16 or f32
    #[arg(long, default_value_t)]
    row_type: RowType,
    /// Compare whole gradients (fresh) or projected ones (stored); auto: whole if the seeds' take
    /// at most 4 GiB
    #[arg(long, value_enum, default_value = "auto")]
    scores: ScoreKind,
    /// Loss of a sample: mean over its target tokens, or sum
    #[arg(long, value_enum, default_value = "mean")]
    loss: LossKind,

    /// Which candidates count as helpful
    #[arg(long, default_value_t)]
    rule: Rule,
    /// A relaxed rule lets through this many times the budget, so that clusters have a choice
    #[arg(long, default_value_t = 1.25)]
    headroom: f64,
    /// Gradient clusters [default: square root of the number of helpful candidates]
    #[arg(long)]
    clusters: Option<usize>,
    /// Cluster gradients as they are, not scaled to length 1 (clusters then follow text length)
    #[arg(long)]
    keep_norms: bool,
    /// Which member of a cluster is drawn: random, best-score or nearest
    #[arg(long, default_value = "random")]
    within: Within,

    /// Padded tokens of one batch
    #[arg(long, default_value_t = 2048)]
    token_budget: usize,
    /// Samples written (and redone after an interruption) together
    #[arg(long, default_value_t = 512)]
    shard_rows: usize,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// CPU threads [default: all]
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum CurvatureKind {
    Identity,
    Kfac,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum LabelKind {
    Sampled,
    Data,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum ScoreKind {
    Auto,
    Fresh,
    Stored,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum LossKind {
    Mean,
    Sum,
}

/// One line of `scores.jsonl`.
#[derive(Serialize)]
struct Line {
    id: String,
    index: usize,
    mean: Option<f64>,
    mean_normalised: Option<f64>,
    min: Option<f64>,
    share_helped: Option<f64>,
    cluster: Option<usize>,
    selected: bool,
    reason: String,
}

/// Seeds' preconditioned gradients that fit into this are held whole by `--scores auto`.
const SEED_MEMORY: u64 = 4 << 30;

fn main() -> Result<()> {
    let flags = Flags::parse();
    configure_threads(flags.threads);
    let mut record = RunRecord::start("gdig", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    record.seeds.set("seed", flags.seed);

    // Data and model.
    let (pool, seed_rows) = (flags.text.open(&flags.pool)?, flags.text.open(&flags.seeds)?);
    for file in [&flags.pool, &flags.seeds] {
        record.add_input(file)?;
    }
    ensure!(flags.budget >= 1, "--budget is 0, but must be at least 1");
    ensure!(
        flags.budget <= pool.len(),
        "--budget is {}, but the pool has only {} rows",
        flags.budget,
        pool.len()
    );
    let encoder = flags.text.encoder(&flags.model)?;
    let samples = Pool { dataset: &pool, encoder: &encoder };
    let (seeds, unusable) = read_all(&Pool { dataset: &seed_rows, encoder: &encoder })?;
    if let Some(seed) = unusable.first() {
        anyhow::bail!("seed {} (row {}) cannot be used: {}", seed.id, seed.index, seed.reason);
    }
    let model = flags.model.load()?;
    let vocabulary = model.shape().vocab_size;
    ensure!(
        (encoder.tokenizer().max_id() as usize) < vocabulary,
        "the tokenizer has ids up to {}, but the model's embedding has only {vocabulary} rows",
        encoder.tokenizer().max_id()
    );

    // 1. The model must know the pool before its gradients say anything.
    let (model, losses) = adapted(&flags, model, &samples, &pool, &encoder, &mut record)?;
    let model = model.as_ref();
    let fingerprint = model.parameters().fingerprint()?;
    let layers = flags.layers.select(model.layers())?;

    // 2. Curvature.
    let mut inputs = Map::new();
    inputs.insert("model".to_owned(), json!(fingerprint));
    inputs.insert("pool".to_owned(), json!(pool.content_hash()));
    inputs.insert("encoder".to_owned(), encoder.description());
    let (curvature, curvature_id) = fit(&flags, model, &layers, &samples, &inputs, &mut record)?;

    // 3. One pass over the pool: projected gradients, and scores from whole ones.
    let reduction = if flags.loss == LossKind::Mean { Reduction::Mean } else { Reduction::Sum };
    let params =
        PassParams { reduction, token_budget: flags.token_budget, shard_rows: flags.shard_rows };
    let pass = GradientPass { model, layers: &layers, params: params.check()? };
    let table = scored(
        &flags, &pass, &samples, &seeds, curvature.as_ref(), curvature_id, &inputs,
        seed_rows.content_hash(), &mut record,
    )?;
    record.counts.set("read", (pool.len() + pool.rejects().len()) as u64);
    record.counts.set("rejected", (pool.rejects().len() + table.skipped.len()) as u64);
    record.counts.set("scored", table.candidates.len() as u64);
    record.notes.extend(pool.rejects().iter().map(|reject| format!("not read: {reject}")));

    // 4. Those that help, 5. evenly over clusters of gradients.
    let timer = StageTimer::start("select");
    let enough = (flags.budget as f64 * flags.headroom.max(1.0)).ceil() as usize;
    let helpful = flags.rule.apply(&table, flags.budget, enough)?;
    if helpful.used.contains("relaxed") {
        record.relaxations.push(helpful.used.clone());
    }
    let rows = helpful_rows(&flags, &table, &helpful)?;
    let clusters = flags.clusters.unwrap_or((helpful.positions.len() as f64).sqrt() as usize);
    let clusters = clusters.clamp(1, helpful.positions.len());
    let fit = KMeansParams { k: clusters, seed: flags.seed, ..KMeansParams::default() }
        .check()?
        .fit(rows.view())?;
    let best: Vec<f64> =
        helpful.positions.iter().map(|&p| table.candidates[p].mean_normalised()).collect();
    let drawn = Resample { budget: flags.budget, within: flags.within, seed: flags.seed }
        .draw(&fit.labels, Some(&best), Some(&fit.distances))?;
    record.stages.push(timer.finish());
    record.counts.set("helpful", helpful.positions.len() as u64);
    record.counts.set("helping_every_seed", helpful.helping_all as u64);
    record.counts.set("clusters", clusters as u64);
    record.counts.set("selected", drawn.len() as u64);

    // 6. What was decided, and why.
    let lines = lines(&table, &helpful, &fit, &drawn);
    let chosen: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].selected).collect();
    let page = report(&flags, &pool, &table, &lines, &helpful, &fit, &rows, &losses)?;
    let files = write_outputs(&flags.out, &pool, &chosen, &lines, record, |record| {
        let mut page = page.build(record)?;
        if !losses.is_empty() {
            let steps: Vec<[f64; 2]> =
                losses.iter().enumerate().map(|(n, &l)| [(n + 1) as f64, l]).collect();
            let plot = LinePlot::new("Loss while adapting", "step", "nats per target token");
            page.section("Adaptation").plot(plot.series("loss", steps));
        }
        Ok(page)
    })?;
    println!("rule: {}", helpful.used);
    println!(
        "{} rows scored, {} helpful, {clusters} clusters, {} chosen",
        table.candidates.len(),
        helpful.positions.len(),
        drawn.len()
    );
    for file in files {
        println!("{}", file.display());
    }
    Ok(())
}

/// Step 1: the adapted model and the losses on the way.
fn adapted(
    flags: &Flags,
    model: Box<dyn CausalLm>,
    samples: &Pool<'_>,
    pool: &Dataset,
    encoder: &Encoder,
    record: &mut RunRecord,
) -> Result<(Box<dyn CausalLm>, Vec<f64>)> {
    if flags.adapted {
        eprintln!("adapt: skipped, the model is said to be fine-tuned on this pool already");
        record.notes.push("adaptation skipped on request (--adapted)".to_owned());
        return Ok((model, Vec::new()));
    }
    let mut timer = StageTimer::start("adapt");
    let (data, _) = read_all(samples)?;
    let params = TrainParams {
        epochs: flags.adapt_epochs,
        learning_rate: flags.adapt_lr,
        batch_size: flags.adapt_batch,
        token_budget: flags.token_budget,
        seed: flags.seed,
        ..TrainParams::default()
    };
    let mut inputs = Map::new();
    inputs.insert("model".to_owned(), json!(model.parameters().fingerprint()?));
    inputs.insert("pool".to_owned(), json!(pool.content_hash()));
    inputs.insert("encoder".to_owned(), encoder.description());
    let (model, done) = adapt(&flags.model, model, &data, params, inputs, &flags.out)?;
    timer.rows(data.len() as u64).resumed(done.resumed);
    record.stages.push(timer.finish());
    Ok((model, done.losses))
}

/// Step 2: the curvature, and what names it in later manifests.
fn fit(
    flags: &Flags,
    model: &dyn CausalLm,
    layers: &[LayerInfo],
    samples: &Pool<'_>,
    inputs: &Map<String, Value>,
    record: &mut RunRecord,
) -> Result<(Box<dyn Curvature>, Value)> {
    if flags.curvature == CurvatureKind::Identity {
        return Ok((Box::new(Identity), json!("identity")));
    }
    let mut timer = StageTimer::start("curvature");
    let labels = match flags.labels {
        LabelKind::Sampled => Labels::Sampled { seed: flags.seed },
        LabelKind::Data => Labels::Data,
    };
    let count = flags.curvature_samples.unwrap_or(samples.len()).min(samples.len());
    let first = First { samples, count };
    let token_budget = flags.token_budget;
    let params = FitParams { labels, tokens: Tokens::Expand, token_budget, ..FitParams::default() };
    let fit = FactorFit { model, layers, params };
    let mut fields = fit.manifest_fields();
    fields.extend(inputs.clone());
    fields.insert("samples".to_owned(), json!(count));
    let mut store = FactorStore::create_or_resume(flags.out.join("factors"), fields)?;
    timer.rows(count as u64).resumed(store.artifact().is_complete());
    let factors = fit.run(&first, &mut store, &mut Bars::default())?;
    let kfac = Kfac::new(&factors, flags.damping, model.shape().kind)?;
    let below: Vec<f64> = kfac.spectra().iter().map(|s| s.share_below).collect();
    let (low, high) = below.iter().fold((1.0f64, 0.0f64), |(l, h), &b| (l.min(b), h.max(b)));
    record.notes.push(format!(
        "damping {}: between {:.1} % and {:.1} % of a layer's eigenvalues lie below it",
        flags.damping,
        100.0 * low,
        100.0 * high
    ));
    record.stages.push(timer.finish());
    let id = json!({ "factors": store.artifact().fingerprint(), "damping": flags.damping });
    Ok((Box::new(kfac), id))
}

/// The first `count` samples of a pool.
struct First<'a> {
    samples: &'a Pool<'a>,
    count: usize,
}

impl Samples for First<'_> {
    fn len(&self) -> usize {
        self.count
    }

    fn read(
        &self,
        positions: std::ops::Range<usize>,
    ) -> Result<Vec<Outcome<Encoded>>, tamis::dataset::DatasetError> {
        self.samples.read(positions)
    }
}

/// Step 3: gradients and scores.
#[allow(clippy::too_many_arguments)]
fn scored(
    flags: &Flags,
    pass: &GradientPass<'_>,
    samples: &Pool<'_>,
    seeds: &[Encoded],
    curvature: &dyn Curvature,
    curvature_id: Value,
    inputs: &Map<String, Value>,
    seeds_hash: &str,
    record: &mut RunRecord,
) -> Result<ScoreTable> {
    let shape = pass.model.shape();
    let scalar = if shape.kind == Kind::Double { 8 } else { 4 };
    let whole = Seeds::bytes(pass.layers, seeds.len(), scalar);
    let fresh = match flags.scores {
        ScoreKind::Auto => whole <= SEED_MEMORY,
        choice => choice == ScoreKind::Fresh,
    };
    let estimate = Estimate::new(
        pass.model, pass.layers, &pass.params, &flags.projection, flags.row_type, samples.len(),
    );
    eprintln!("gradients: {} layers, {estimate}", pass.layers.len());
    let how = if fresh { "whole gradients" } else { "projected gradients" };
    eprintln!("scores: from {how}; the seeds' whole gradients would take {}", Bytes(whole));
    record.notes.push(format!("scores from {how} ({} layers)", pass.layers.len()));

    let mut timer = StageTimer::start("gradients");
    let projection =
        flags.projection.build(pass.layers, flags.seed, shape.kind, shape.device)?;
    let mut fields = pass.manifest_fields();
    fields.extend(inputs.clone());
    let mut of_scores = fields.clone();
    fields.insert("projection".to_owned(), json!(flags.projection));
    fields.insert("projection_seed".to_owned(), json!(flags.seed));
    let mut gradients =
        RowStore::create_or_resume(flags.out.join("gradients"), "gradients", fields, flags.row_type)?;
    let ids: Vec<_> = seeds.iter().map(|s| s.id.clone()).collect();
    let mut bars = Bars::default();
    let table = if fresh {
        of_scores.insert("curvature".to_owned(), curvature_id);
        of_scores.insert("seeds".to_owned(), json!(seeds_hash));
        let mut scores = RowStore::create_or_resume(
            flags.out.join("scores"), "influence-scores", of_scores, RowType::F32,
        )?;
        let whole = Seeds::new(pass, seeds, curvature)?;
        let mut sinks = [
            Sink { reducer: &projection, store: &mut gradients },
            Sink { reducer: &whole, store: &mut scores },
        ];
        let report = pass.run(samples, &mut sinks, &mut bars)?;
        timer.rows(report.samples as u64).resumed(report.resumed > 0);
        ScoreTable::from_scores(&scores, &ids)?
    } else {
        let mut sinks = [Sink { reducer: &projection, store: &mut gradients }];
        let report = pass.run(samples, &mut sinks, &mut bars)?;
        timer.rows(report.samples as u64).resumed(report.resumed > 0);
        let projected = Seeds::project(pass, seeds, curvature, &projection)?;
        ScoreTable::from_gradients(&gradients, &ids, &projected)?
    };
    record.stages.push(timer.finish());
    if let (true, Some(first)) = (table.candidates.is_empty(), table.skipped.first()) {
        anyhow::bail!("no row of the pool can be scored; the first one: {}", first.reason);
    }
    Ok(table)
}

/// Projected gradients of the helpful candidates, scaled to length 1 unless told otherwise.
fn helpful_rows(flags: &Flags, table: &ScoreTable, helpful: &Helpful) -> Result<Array2<f32>> {
    let store = RowStore::open(flags.out.join("gradients"))?;
    let wanted: HashMap<usize, usize> = helpful
        .positions
        .iter()
        .enumerate()
        .map(|(row, &p)| (table.candidates[p].info.index, row))
        .collect();
    let mut parts: Vec<(usize, Tensor)> = Vec::new();
    for shard in store.shards() {
        let shard = shard?;
        for (n, info) in shard.infos.iter().enumerate() {
            if let Some(&row) = wanted.get(&info.index) {
                parts.push((row, shard.rows.f_get(n as i64)?.f_to_kind(Kind::Float)?));
            }
        }
    }
    parts.sort_by_key(|(row, _)| *row);
    let rows: Vec<Tensor> = parts.into_iter().map(|(_, row)| row).collect();
    let mut rows = Tensor::f_stack(&rows, 0)?;
    if !flags.keep_norms {
        let norms = rows.f_square()?.f_sum_dim_intlist([1i64].as_slice(), true, Kind::Float)?.f_sqrt()?;
        rows = rows.f_div(&norms.f_clamp_min(f64::from(f32::MIN_POSITIVE))?)?;
    }
    let shape = (rows.size()[0] as usize, rows.size()[1] as usize);
    Array2::from_shape_vec(shape, Vec::<f32>::try_from(rows.f_flatten(0, -1)?)?)
        .context("gradient rows")
}

/// One line for every row of the pool that was read, in its order.
fn lines(table: &ScoreTable, helpful: &Helpful, fit: &KMeansFit, drawn: &[usize]) -> Vec<Line> {
    let row_of: HashMap<usize, usize> =
        helpful.positions.iter().enumerate().map(|(row, &p)| (p, row)).collect();
    let mut lines: Vec<Line> = Vec::new();
    for (position, candidate) in table.candidates.iter().enumerate() {
        let row = row_of.get(&position).copied();
        let cluster = row.map(|row| fit.labels[row]);
        let selected = row.is_some_and(|row| drawn.contains(&row));
        let reason = match cluster {
            None => format!("not helpful: {}", helpful.used),
            Some(cluster) if selected => format!("helpful, drawn from cluster {cluster}"),
            Some(cluster) => format!("helpful, not drawn from cluster {cluster}"),
        };
        lines.push(Line {
            id: candidate.info.id.to_string(),
            index: candidate.info.index,
            mean: Some(candidate.mean()),
            mean_normalised: Some(candidate.mean_normalised()),
            min: Some(candidate.min()),
            share_helped: Some(candidate.share_helped()),
            cluster,
            selected,
            reason,
        });
    }
    lines.extend(table.skipped.iter().map(|skipped| Line {
        id: skipped.id.to_string(),
        index: skipped.index,
        mean: None,
        mean_normalised: None,
        min: None,
        share_helped: None,
        cluster: None,
        selected: false,
        reason: skipped.reason.to_string(),
    }));
    lines.sort_by_key(|line| line.index);
    lines
}

/// The page.
#[allow(clippy::too_many_arguments)]
fn report(
    flags: &Flags,
    pool: &Dataset,
    table: &ScoreTable,
    lines: &[Line],
    helpful: &Helpful,
    fit: &KMeansFit,
    rows: &Array2<f32>,
    losses: &[f64],
) -> Result<SelectionReport> {
    let score = |name: &str, meaning: &str, of: &dyn Fn(&Line) -> Option<f64>| Score {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        values: lines.iter().map(of).collect(),
    };
    let position: HashMap<usize, usize> =
        lines.iter().enumerate().map(|(n, line)| (line.index, n)).collect();
    let normalised: Vec<Option<f64>> = lines.iter().map(|l| l.mean_normalised).collect();
    let (best, worst) = best_and_worst(&normalised, 8);
    let flat: Vec<f32> = rows.iter().copied().collect();
    let plane = principal_plane(&flat, rows.ncols())?;
    let mut targets = vec![0; lines.len()];
    for candidate in &table.candidates {
        if let Some(&n) = position.get(&candidate.info.index) {
            targets[n] = candidate.info.targets;
        }
    }
    let adapted = if losses.is_empty() { "a model adapted before" } else { "the adapted model" };
    Ok(SelectionReport {
        title: "G-DIG selection".to_owned(),
        lead: format!(
            "{} rows chosen from {} by the gradients of {adapted}: helpful to {} seeds, then drawn \
             evenly over {} clusters. Rule: {}.",
            flags.budget,
            flags.pool.display(),
            table.seeds.len(),
            fit.centroids.nrows(),
            helpful.used
        ),
        tiles: vec![
            Tile::new("Helpful", helpful.positions.len().to_string()),
            Tile::new("Help every seed", helpful.helping_all.to_string()),
            Tile::new("Clusters", fit.centroids.nrows().to_string()),
        ],
        selected: lines.iter().map(|l| l.selected).collect(),
        reasons: lines.iter().map(|l| l.reason.clone()).collect(),
        scores: vec![
            score("share_helped", "Share of the seeds it helps.", &|l| l.share_helped),
            score(
                "mean_normalised",
                "Mean influence divided by the candidate's gradient norm; positive = helpful.",
                &|l| l.mean_normalised,
            ),
            score("mean", "Mean influence on the seeds; positive = helpful.", &|l| l.mean),
        ],
        lengths: Some(Lengths { unit: "target tokens".to_owned(), values: targets }),
        map: Some(Plane {
            rows: helpful
                .positions
                .iter()
                .filter_map(|&p| position.get(&table.candidates[p].info.index).copied())
                .collect(),
            points: plane.points,
            clusters: fit.labels.clone(),
            explained: Some(plane.explained),
            caption: "Projected gradients of the helpful candidates.".to_owned(),
        }),
        examples: vec![
            examples(pool, "Highest normalised mean influence", &best)?,
            examples(pool, "Lowest normalised mean influence", &worst)?,
        ],
    })
}
