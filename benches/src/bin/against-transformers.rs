//! Training steps and generation beside `PyTorch` and Transformers: the same model, the same batches,
//! by turns, so that whatever else the machine does meets both.
//!
//! ```text
//! cargo run --profile dev -p tamis-benches --bin against-transformers -- [PYTHON] [THREADS] [ROUNDS]
//! ```
//!
//! `PYTHON` (default `python3`) has torch and transformers. Prints a table of medians.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::json;
use tamis::artifact::NoProgress;
use tamis::dataset::Encoded;
use tamis::finetune::{TrainParams, epoch_order};
use tamis::model::{
    CausalLm, DecodingStrategy, DeviceSpec, GenerateParams, LoadOptions, NoTap, configure_threads,
    load,
};
use tamis_benches::{short_pairs, write_llama};

const BATCH: usize = 32;
const STEPS: usize = 8;
const PROMPTS: usize = 128;
const NEW_TOKENS: usize = 32;
/// Rows of a generated batch.
const ROWS: usize = 64;

/// What is measured: how Python calls it, a title, and how much of which unit is done.
const KINDS: [(&str, &str, usize, &str); 4] = [
    ("train", "training, logits at targets only", STEPS, "steps"),
    ("train-everywhere", "training, PyTorch with all logits", STEPS, "steps"),
    ("greedy", "greedy generation", PROMPTS * NEW_TOKENS, "tokens"),
    ("beams", "beam search, 4 beams", PROMPTS * NEW_TOKENS, "tokens"),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let python = arguments.next().unwrap_or_else(|| "python3".to_owned());
    let threads = arguments.next().map_or(2, |text| text.parse().expect("THREADS is a number"));
    let rounds = arguments.next().map_or(7, |text| text.parse().expect("ROUNDS is a number"));
    configure_threads(Some(threads)).expect("setting the threads");

    let folder = tempfile::tempdir().expect("a temporary folder");
    write_llama(folder.path());
    let options = LoadOptions { device: DeviceSpec::Cpu, ..LoadOptions::default() };
    let fresh = || load(folder.path(), &options).expect("the folder just written");
    let vocabulary = fresh().shape().vocab_size;
    let samples = short_pairs(BATCH * STEPS, vocabulary);
    let prompts: Vec<Vec<u32>> =
        short_pairs(PROMPTS, vocabulary).into_iter().map(|sample| sample.ids).collect();
    let order = epoch_order(samples.len(), 0, 0);
    let batches: Vec<Vec<_>> = order
        .chunks(BATCH)
        .map(|rows| rows.iter().map(|&r| (&samples[r].ids, &samples[r].supervised)).collect())
        .collect();
    let work = json!({
        "batches": batches, "prompts": prompts, "rows": ROWS, "new_tokens": NEW_TOKENS,
    });
    std::fs::write(folder.path().join("work.json"), work.to_string()).expect("writing work.json");

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python_side.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(folder.path())
        .arg(threads.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starting Python");
    let mut to = child.stdin.take().unwrap();
    let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = from.next().expect("Python with torch and transformers").unwrap();
    assert_eq!(ready, "ready");

    println!(
        "| work | here | Python | here ÷ Python (least … greatest) |\n| --- | ---: | ---: | ---: |"
    );
    for (name, title, amount, unit) in KINDS {
        let (mut here, mut there) = (Vec::new(), Vec::new());
        // The first round warms both up.
        for _ in 0..=rounds {
            here.push(ours(name, fresh().as_mut(), &samples, &prompts));
            writeln!(to, "{name}").unwrap();
            there.push(from.next().expect("an answer").unwrap().parse::<f64>().unwrap());
        }
        let mut ratios: Vec<f64> =
            here.iter().zip(&there).skip(1).map(|(here, there)| here / there).collect();
        let pace = |seconds: &[f64]| amount as f64 / median(&mut seconds[1..].to_vec());
        let (a, b) = (pace(&here), pace(&there));
        let middle = median(&mut ratios);
        println!(
            "| {title} | {a:.2} {unit}/s | {b:.2} {unit}/s | {middle:.2} ({:.2} … {:.2}) |",
            ratios[0],
            ratios[ratios.len() - 1]
        );
    }
    drop(to);
    child.wait().unwrap();
}

/// Seconds that a piece of work takes here.
fn ours(name: &str, model: &mut dyn CausalLm, samples: &[Encoded], prompts: &[Vec<u32>]) -> f64 {
    if name.starts_with("train") {
        let params = TrainParams {
            epochs: 1,
            learning_rate: 1e-4,
            batch_size: BATCH,
            warmup_ratio: 0.1,
            ..TrainParams::default()
        };
        let trainer = params.check().unwrap();
        let begun = Instant::now();
        trainer.train(model, &tamis::dataset::Encodings::of(samples), &mut NoProgress).unwrap();
        return begun.elapsed().as_secs_f64();
    }
    let (strategy, width) = if name == "beams" {
        (DecodingStrategy::Beam { beams: 4, length_penalty: 1.0, early_stopping: false }, 4)
    } else {
        (DecodingStrategy::Greedy, 1)
    };
    // As many rows a batch as Python takes.
    let token_budget = width * ROWS * (64 + NEW_TOKENS);
    let params = GenerateParams {
        max_new_tokens: NEW_TOKENS,
        strategy,
        token_budget,
        ..GenerateParams::default()
    };
    let generator = params.check().unwrap();
    let begun = Instant::now();
    generator.generate(model, prompts, &mut NoTap, &mut |_| {}).unwrap();
    begun.elapsed().as_secs_f64()
}

/// Sorts.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
