//! IFD scoring beside the published loop in `PyTorch` and Transformers: the same model, the same
//! samples, by turns, so that whatever else the machine does meets both.
//!
//! ```text
//! cargo run --release -p tamis-benches --bin ifd-against-transformers -- \
//!     MODEL DATA[,DATA…] [PYTHON] [THREADS] [ROUNDS] [ROWS] [BUDGET] [SETS]
//! ```
//!
//! `MODEL` is a model folder whose tokenizer puts nothing before a text, as GPT-2's and SmolLM2's
//! do. `DATA` has instructions with answers; of its rows the short ones (about 40 tokens with their
//! answers) and the long ones (120 and more) are measured, or only those that `SETS` names (`short`,
//! `long`). `PYTHON` (default `python3`) has torch and transformers. Prints a table of medians, the rate of a matrix product measured between the
//! rounds, and how far the two sides' scores are apart.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Lines, Write};
use std::ops::RangeInclusive;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use serde_json::{Map, Value, json};
use tamis::dataset::{Content, Dataset, Outcome, ReadOptions, Sample, TextTokenizer};
use tamis::ifd_scoring::{IfdScorer, Preset, ScoreParams};
use tamis::model::{DeviceSpec, LoadOptions, configure_threads, load};
use tch::{Device, Kind, Tensor};

/// What is measured, and the tokens of a text that belongs to it.
const SETS: [(&str, RangeInclusive<usize>); 2] = [("short", 30..=50), ("long", 120..=400)];
/// Rows and columns of the matrices whose product is timed.
const SIDE: i64 = 1536;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().expect("MODEL, a folder");
    let data = arguments.next().expect("DATA, files separated by commas");
    let python = arguments.next().unwrap_or_else(|| "python3".to_owned());
    let mut number =
        |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (threads, rounds, rows, token_budget) = (number(2), number(5), number(64), number(1024));
    let wanted = arguments.next();
    configure_threads(Some(threads)).expect("setting the threads");

    let options = LoadOptions { device: DeviceSpec::Cpu, ..LoadOptions::default() };
    let model = load(&folder, &options).expect("a model");
    let tokenizer = TextTokenizer::from_dir(&folder).expect("its tokenizer");
    let params = ScoreParams {
        token_budget,
        max_length: model.shape().max_positions.min(1024),
        ..Preset::Superfiltering.scoring()
    };
    let scorer = IfdScorer::new(&*model, tokenizer, params).expect("settings that fit the model");
    let mut samples = Vec::new();
    for file in data.split(',') {
        let data = Dataset::open(file, &ReadOptions::default()).expect("data");
        samples.extend(data.read_range(0..data.len()).expect("rows"));
    }
    let sets: Vec<(&str, Vec<Sample>)> = SETS
        .into_iter()
        .filter(|(name, _)| wanted.as_ref().is_none_or(|wanted| wanted.contains(name)))
        .map(|(name, lengths)| (name, chosen(&scorer, &samples, &lengths, rows)))
        .collect();

    let work = tempfile::NamedTempFile::new().expect("a temporary file");
    let texts: Map<String, Value> =
        sets.iter().map(|(name, set)| ((*name).to_owned(), json!(texts(set)))).collect();
    std::fs::write(work.path(), Value::from(texts).to_string()).expect("writing the texts");
    let mut child = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/ifd_side.py"))
        .args([folder.as_ref(), work.path().as_os_str(), threads.to_string().as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting Python");
    let to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = from.next().expect("Python with torch and transformers").unwrap();
    assert_eq!(ready, "ready");
    let mut python = Python { to, from };

    println!(
        "| texts | here | Python | here ÷ Python (least … greatest) | of the matrix product's rate \
         | largest difference |\n| --- | ---: | ---: | ---: | ---: | ---: |"
    );
    for (name, set) in &sets {
        measure(&scorer, name, set, rounds, &mut python);
    }
    drop(python);
    child.wait().unwrap();
}

/// The other side, ready for the name of a set.
struct Python {
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Python {
    /// Seconds and scores.
    fn score(&mut self, set: &str) -> (f64, Vec<f64>) {
        writeln!(self.to, "{set}").unwrap();
        serde_json::from_str(&self.from.next().expect("an answer").unwrap()).unwrap()
    }
}

/// Runs a set on both sides by turns and prints its line.
fn measure(scorer: &IfdScorer<'_>, name: &str, set: &[Sample], rounds: usize, python: &mut Python) {
    let estimate = scorer.estimate(set, set.len()).unwrap();
    let (mut here, mut there, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    let mut apart = 0.0f64;
    // The first round warms both up.
    for round in 0..=rounds {
        let product = product_rate();
        let begun = Instant::now();
        let scores = scorer.score(set).unwrap();
        let seconds = begun.elapsed().as_secs_f64();
        let (theirs, expected) = python.score(name);
        for (found, expected) in scores.iter().zip(expected) {
            apart = apart.max((found.ifd().value().unwrap() / expected - 1.0).abs());
        }
        if round > 0 {
            here.push(set.len() as f64 / seconds);
            there.push(set.len() as f64 / theirs);
            shares.push(estimate.total_flops().unwrap_or(0.0) / seconds / product);
        }
    }
    let mut ratios: Vec<f64> = here.iter().zip(&there).map(|(here, there)| here / there).collect();
    let (a, b, share, ratio) =
        (median(&mut here), median(&mut there), median(&mut shares), median(&mut ratios));
    println!(
        "| {name}: {}, {:.0} tokens in both terms | {a:.1}/s | {b:.1}/s | {ratio:.2} ({:.2} … {:.2}) | \
         {:.0} % | {apart:.1e} |",
        set.len(),
        estimate.total("tokens to read").unwrap_or(0.0) / set.len() as f64,
        ratios[0],
        ratios[ratios.len() - 1],
        100.0 * share
    );
}

/// Operations a second of a product of f32 matrices, the best of three.
fn product_rate() -> f64 {
    let matrix = || Tensor::randn([SIDE, SIDE], (Kind::Float, Device::Cpu));
    let (a, b) = (matrix(), matrix());
    let once = || {
        let begun = Instant::now();
        let _ = a.matmul(&b);
        2.0 * (SIDE as f64).powi(3) / begun.elapsed().as_secs_f64()
    };
    (0..3).map(|_| once()).fold(0.0, f64::max)
}

/// The first `rows` samples of these lengths whose parts are the same tokens on both sides.
fn chosen(
    scorer: &IfdScorer<'_>,
    samples: &[Sample],
    lengths: &RangeInclusive<usize>,
    rows: usize,
) -> Vec<Sample> {
    let words = scorer.encoder().tokenizer();
    let fits = |sample: &&Sample| {
        let Outcome::Scored(encoded) = scorer.encoder().encode(sample) else {
            return false;
        };
        let (prompt, answer) = text(sample);
        let prompt = words.ids(&prompt, true).unwrap();
        let parts = [prompt.as_slice(), &words.ids(&answer, false).unwrap()].concat();
        lengths.contains(&encoded.len()) && encoded.targets() > 1 && parts == encoded.ids
    };
    let set: Vec<Sample> = samples.iter().filter(fits).take(rows).cloned().collect();
    assert!(!set.is_empty(), "the data has no texts of {lengths:?} tokens");
    set
}

fn texts(samples: &[Sample]) -> Vec<(String, String)> {
    samples.iter().map(text).collect()
}

/// Prompt and answer without a template.
fn text(sample: &Sample) -> (String, String) {
    let Content::Instruction { instruction, input, output } = &sample.content else {
        panic!("{} is no instruction", sample.id)
    };
    let input = if input.is_empty() { String::new() } else { format!("{input}\n") };
    (format!("{instruction}\n{input}"), output.clone())
}

/// Sorts.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
