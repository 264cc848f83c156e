//! Not a test: how long a real model takes, beside the naive way in batches.
//!
//! ```text
//! TAMIS_NUGGETS_MODEL=DIR TAMIS_NUGGETS_ROWS=rows.jsonl \
//!     cargo test --release -p tamis-nuggets --test it -- --ignored --exact speed::side_by_side --nocapture
//! ```
//!
//! Further: `TAMIS_NUGGETS_TEMPLATE` (alpaca), `_CANDIDATES` (8), `_ANCHORS` (32), `_TOKENS` (the
//! longest row, 200), `_BUDGET` (padded tokens of a batch, 1024), `_THREADS` (all).

use std::time::Instant;

use tamis_dataset::{Dataset, Encoded, ReadOptions, Sample, Template, TextTokenizer};
use tamis_model::{LoadOptions, configure_threads, load};
use tamis_nuggets::{GoldenParams, GoldenScorer};

use crate::common::{batched, encoded, joined, rises};

fn setting(name: &str) -> Option<String> {
    std::env::var(format!("TAMIS_NUGGETS_{name}")).ok()
}

fn number(name: &str, usual: usize) -> usize {
    setting(name).map_or(usual, |text| text.parse().unwrap())
}

/// Processor seconds of this process, on Linux.
fn processor() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    // User and system time, in hundredths of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn timed<T>(name: &str, tokens: usize, run: impl FnOnce() -> T) -> (T, [f64; 2]) {
    let (wall, cpu) = (Instant::now(), processor());
    let result = run();
    let times = [wall.elapsed().as_secs_f64(), processor() - cpu];
    println!("{name}: {:.2} s, {:.2} s of processor, {tokens} tokens read", times[0], times[1]);
    (result, times)
}

#[test]
#[ignore = "takes a model and minutes; see the top of the file"]
fn side_by_side() {
    let Some(folder) = setting("MODEL") else { return };
    let threads = configure_threads(setting("THREADS").map(|text| text.parse().unwrap())).unwrap();
    let data = Dataset::open(setting("ROWS").unwrap(), &ReadOptions::default()).unwrap();
    let template = setting("TEMPLATE").unwrap_or_else(|| "alpaca".to_owned());
    let template = Template::parse(&template, Some("English")).unwrap();
    let words = || TextTokenizer::from_dir(&folder).unwrap();
    let model = load(&folder, &LoadOptions::default()).unwrap();

    let rows = data.read_range(0..data.len().min(600)).unwrap();
    let lengths = encoded(words(), template.clone(), &rows);
    let longest = number("TOKENS", 200);
    let rows: Vec<Sample> = rows
        .into_iter()
        .zip(&lengths)
        .filter(|(_, e)| e.len() <= longest)
        .map(|(s, _)| s)
        .collect();
    let (anchors, rest) = rows.split_at(number("ANCHORS", 32));
    let candidates = &rest[..number("CANDIDATES", 8)];

    let params = GoldenParams {
        template: template.clone(),
        token_budget: number("BUDGET", 1024),
        max_length: model.shape().max_positions.min(2 * longest + 8),
        ..GoldenParams::default()
    };
    let glue = words().ids(params.separator(), false).unwrap();
    let budget = params.token_budget;
    let scorer = GoldenScorer::new(model.as_ref(), words(), params, anchors).unwrap();
    // Both need the anchors' own scores, once; nothing is timed that is computed once.
    let zero: Vec<f64> = scorer.anchors().unwrap().iter().map(|a| a.zero_shot).collect();

    let (examples, alone) =
        (encoded(words(), template.clone(), candidates), encoded(words(), template, anchors));
    let opening = words().ids("", true).unwrap().len();
    let texts: Vec<_> = examples
        .iter()
        .flat_map(|e| alone.iter().map(|anchor| joined(&e.ids, &glue, anchor, opening)))
        .collect();
    let mean = |all: &[usize]| all.iter().sum::<usize>() as f64 / all.len() as f64;
    let of = |all: &[Encoded]| mean(&all.iter().map(Encoded::len).collect::<Vec<_>>());
    println!(
        "{} candidates of {:.0} tokens, {} anchors of {:.0} ({:.0} of them targets), batches of \
         {budget}, {} threads",
        examples.len(),
        of(&examples),
        alone.len(),
        of(&alone),
        mean(&alone.iter().map(Encoded::targets).collect::<Vec<_>>()),
        threads.count
    );
    let ((shared, _), [wall, cpu]) = timed(
        "shared",
        scorer.estimate(candidates, candidates.len()).unwrap().total("tokens to read").unwrap()
            as usize,
        || scorer.score_counted(candidates, |_| {}).unwrap(),
    );
    let read = texts.iter().map(|text| text.len() - 1).sum();
    let (naive, [naive_wall, naive_cpu]) =
        timed("naive in batches", read, || batched(model.as_ref(), &texts, budget));
    let mut off = 0.0f64;
    for (candidate, naive) in shared.iter().zip(naive.chunks(alone.len())) {
        for ((rise, one), zero) in rises(candidate).iter().zip(naive).zip(&zero) {
            off = off.max((rise - (one - zero)).abs());
        }
    }
    println!(
        "{:.2} times as fast, {:.2} by processor time; rises differ by {off:.1e} at most",
        naive_wall / wall,
        naive_cpu / cpu
    );
    assert!(off <= 1e-3);
}
