//! Writes a report of made-up data, to look at while its style is changed.
//!
//! `cargo run -p tamis-report --example sample_report -- target/sample-report`
//!
//! You should see the names of three files; open `report.html` in a browser, in light and in dark
//! mode and in a narrow window.

use std::error::Error;
use std::path::PathBuf;

use serde::Serialize;
use tamis_report::{
    Example, Examples, Lengths, LinePlot, Map, ReportError, RunRecord, ScoreColumn,
    SelectionReport, StageRecord, Tile, best_and_worst, principal_plane, write_jsonl,
};
use tamis_selection::vectors::ndarray::ArrayView2;

const CANDIDATES: usize = 2_000;
const BUDGET: usize = 500;
const CLUSTERS: usize = 16;
const WIDTH: usize = 64;

#[derive(Serialize)]
struct Row {
    id: String,
    index: usize,
    mean: Option<f64>,
    selected: bool,
    reason: &'static str,
}

#[derive(Serialize)]
struct Parameters {
    budget: usize,
    clusters: usize,
    layers: &'static str,
    adaptation: Adaptation,
}

#[derive(Serialize)]
struct Adaptation {
    epochs: usize,
    learning_rate: f64,
}

/// A plain linear congruential generator: the sample must not change between runs.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// Roughly normal: the sum of twelve uniforms.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// What a selecting program would have computed.
struct Pool {
    mean: Vec<Option<f64>>,
    share: Vec<Option<f64>>,
    lengths: Vec<usize>,
    clusters: Vec<usize>,
    gradients: Vec<f32>,
}

fn make_up(noise: &mut Noise) -> Pool {
    let mean: Vec<Option<f64>> = (0..CANDIDATES)
        .map(|_| {
            let centre = if noise.uniform() < 0.5 { 0.9 } else { -0.4 };
            let heavy_tail = noise.normal() / noise.uniform().max(0.05).sqrt();
            (noise.uniform() > 0.01).then_some((centre + heavy_tail * 0.5) * 1e-3)
        })
        .collect();
    let share = mean
        .iter()
        .map(|mean| mean.map(|m| (((m * 1.5e3).tanh() + 1.0) * 32.0).round() / 64.0))
        .collect();
    let lengths =
        (0..CANDIDATES).map(|_| (8.0 + 14.0 * (noise.normal() * 0.5).exp()) as usize).collect();
    let clusters: Vec<usize> = (0..CANDIDATES)
        .map(|_| ((noise.uniform() * noise.uniform()) * CLUSTERS as f64) as usize)
        .collect();
    let centres: Vec<f32> = (0..CLUSTERS * WIDTH)
        .map(|i| (noise.normal() * 6.0 / ((i % WIDTH) as f64 + 1.0)) as f32)
        .collect();
    let gradients = clusters
        .iter()
        .flat_map(|cluster| (0..WIDTH).map(move |j| cluster * WIDTH + j))
        .map(|place| centres[place] + 0.35 * noise.normal() as f32)
        .collect();
    Pool { mean, share, lengths, clusters, gradients }
}

fn record(pool: &Pool) -> Result<RunRecord, ReportError> {
    let mut run = RunRecord::start("sample", env!("CARGO_PKG_VERSION"));
    run.set_parameters(&Parameters {
        budget: BUDGET,
        clusters: CLUSTERS,
        layers: "all but lm_head",
        adaptation: Adaptation { epochs: 3, learning_rate: 3e-4 },
    })?;
    run.seeds.set("projection", 17).set("k-means", 17);
    run.counts
        .set("read", 2_003)
        .set("rejected", 3)
        .set("scored", pool.mean.iter().flatten().count() as u64)
        .set("selected", BUDGET as u64);
    run.relaxations.push(
        "No candidate helps all 64 seeds; the rule was relaxed to \"helps at least 60 % of the \
         seeds\"."
            .to_owned(),
    );
    for (name, seconds, rows, resumed) in [
        ("adapt", 61.2, 6_000, false),
        ("curvature", 24.9, 2_000, false),
        ("gradients", 31.4, 2_000, true),
        ("influence", 0.8, 2_000, false),
    ] {
        run.stages.push(StageRecord { name: name.to_owned(), seconds, rows: Some(rows), resumed });
    }
    Ok(run)
}

/// Texts that a report must survive: markup, other scripts, the other direction, joined emoji.
const TEXTS: [&str; 5] = [
    "Ein Mann steht auf einer Leiter.\n→ A man is standing on a ladder.",
    "<script>alert('this must be shown, not run')</script>\n→ & \"quoted\" 'text'",
    "两个孩子在公园里踢足球。\n→ Two children are playing football in the park.",
    "رجل يقرأ جريدة في المقهى.\n→ A man reads a newspaper in the café.",
    "Zwei Hunde 🐕‍🦺🐕 laufen durch das hohe Gras und jagen einander bis zum Waldrand, wo sie \
     plötzlich stehen bleiben.\n→ Two dogs run through the tall grass, chasing each other to the \
     edge of the forest, where they suddenly stop.",
];

fn examples(title: &str, rows: &[usize]) -> Examples {
    let rows = rows.iter().zip(TEXTS).map(|(&row, text)| Example {
        row,
        id: format!("pair-{row}"),
        text: text.to_owned(),
    });
    Examples { title: title.to_owned(), rows: rows.collect() }
}

fn loss_plot(noise: &mut Noise) -> LinePlot {
    let mut loss = |start: f64| -> Vec<[f64; 2]> {
        let at = |step: u32| {
            let step = f64::from(step);
            let level = 1.1 + (start - 1.1) * (-step / 40.0).exp();
            [step, level * (1.0 + 0.05 * noise.normal())]
        };
        (0..180).map(at).collect()
    };
    LinePlot::new("Loss over steps", "step", "loss per token")
        .series("training", loss(3.4))
        .series("held out", loss(3.2).into_iter().step_by(20))
}

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args_os()
        .nth(1)
        .map_or_else(|| std::env::temp_dir().join("sample-report"), PathBuf::from);
    std::fs::create_dir_all(&out)?;
    let mut noise = Noise(1);
    let pool = make_up(&mut noise);
    let mut run = record(&pool)?;

    let (best, worst) = best_and_worst(&pool.mean, BUDGET);
    let mut selected = vec![false; CANDIDATES];
    for &row in &best {
        selected[row] = true;
    }
    let reason = |row: usize| match (selected[row], pool.mean[row]) {
        (true, _) => "drawn from its cluster",
        (false, Some(mean)) if mean < 0.0 => "harms the seeds",
        (false, Some(_)) => "not drawn",
        (false, None) => "empty target",
    };
    let rows = (0..CANDIDATES).map(|index| Row {
        id: format!("pair-{index}"),
        index,
        mean: pool.mean[index],
        selected: selected[index],
        reason: reason(index),
    });
    write_jsonl(out.join("scores.jsonl"), rows)?;
    run.add_output(out.join("scores.jsonl"))?;
    run.finish();

    let gradients = ArrayView2::from_shape((CANDIDATES, WIDTH), &pool.gradients)?;
    let plane = principal_plane(&gradients)?;
    let score = |name: &str, meaning: &str, values| ScoreColumn {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        values,
    };
    let mut report = SelectionReport {
        title: "Which translations help?".to_owned(),
        lead: "500 of 2,000 German–English pairs, half of them with another row's target, by \
               their influence on 64 seeds and by gradient clusters."
            .to_owned(),
        tiles: vec![
            Tile::new("helpful", "1,012").detail("to at least 60 % of 64 seeds"),
            Tile::new("clusters", CLUSTERS.to_string()).detail("inertia 1,234"),
        ],
        reasons: (0..CANDIDATES).map(|row| reason(row).to_owned()).collect(),
        examples: vec![
            examples("Highest mean influence", &best),
            examples("Lowest mean influence", &worst),
        ],
        scores: vec![
            score("mean", "Mean influence on the seeds; positive is helpful.", pool.mean.clone()),
            score("share_helped", "Share of the seeds that the candidate helps.", pool.share),
        ],
        lengths: Some(Lengths { unit: "target tokens".to_owned(), values: pool.lengths }),
        map: Some(Map {
            rows: (0..CANDIDATES).collect(),
            points: plane.points,
            clusters: pool.clusters,
            explained: Some(plane.explained),
            caption: "Projected gradients, normalised.".to_owned(),
        }),
        selected: selected.clone(),
    }
    .build(&run)?;
    report.section("Adaptation").plot(loss_plot(&mut noise));
    report.move_section("Adaptation", 1);
    report.write(out.join("report.html"))?;
    run.write(out.join("run.json"))?;
    for name in ["scores.jsonl", "run.json", "report.html"] {
        println!("{}", out.join(name).display());
    }
    Ok(())
}
