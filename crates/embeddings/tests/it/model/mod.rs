//! Embeddings from models; needs LibTorch.

mod invariance;
mod kill;
mod outcomes;
mod pass;
mod provenance;
mod witnesses;

use std::path::{Path, PathBuf};

use tamis_dataset::{Content, EncodeOptions, Encoder, Outcome, Sample, Template, TextTokenizer};
use tamis_embeddings::{EmbedParams, Embedder, Embedding};
use tamis_model::{Attention, CausalLm, DType, DeviceSpec, LoadOptions, Pool, load};

/// A tiny random model: `begins`, Llama-like, or `plain`, GPT-2-like. They read 320 tokens.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../ifd-scoring/tests/fixtures").join(name)
}

fn model(name: &str, kind: DType) -> Box<dyn CausalLm> {
    let options = LoadOptions { device: DeviceSpec::Cpu, kind, attention: Attention::Fused };
    load(folder(name), &options).unwrap()
}

fn encoder_with(name: &str, options: EncodeOptions) -> Encoder {
    Encoder::new(TextTokenizer::from_dir(folder(name)).unwrap(), Template::None, options).unwrap()
}

fn encoder(name: &str) -> Encoder {
    encoder_with(name, EncodeOptions { max_length: 320, ..EncodeOptions::default() })
}

fn params(pool: Pool, token_budget: usize) -> EmbedParams {
    EmbedParams { pool, token_budget, shard_rows: 6 }
}

fn sample(index: usize, instruction: &str, output: &str) -> Sample {
    let (instruction, input, output) = (instruction.into(), String::new(), output.into());
    let content = Content::Instruction { instruction, input, output };
    Sample { id: format!("s{index}").into(), index, content }
}

/// Samples of many lengths.
fn samples(count: usize) -> Vec<Sample> {
    let words = ["the", "weather", "is", "nice", "today", "Größe", "天气", "return a + b", "42"];
    let text = |seed: usize, length: usize| {
        let word = |i: usize| words[(seed * 7 + i * (seed % 4 + 1)) % words.len()];
        (0..length).map(word).collect::<Vec<_>>().join(" ")
    };
    (0..count).map(|n| sample(n, &text(n, 2 + n % 5), &text(n + 2, 1 + (n * 5) % 11))).collect()
}

/// The embeddings of samples that all can be embedded.
fn embed(
    model: &dyn CausalLm,
    encoder: &Encoder,
    params: &EmbedParams,
    samples: &[Sample],
) -> Vec<Embedding> {
    let embedder = Embedder::new(model, encoder, params).unwrap();
    let outcomes = embedder.embed(samples).unwrap();
    outcomes.into_iter().map(|outcome| Outcome::scored(outcome).unwrap()).collect()
}

/// The largest difference between two rows, relative to the largest number.
fn difference<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> f64 {
    assert_eq!(a.len(), b.len());
    let (a, b): (Vec<f64>, Vec<f64>) =
        (a.iter().map(|&x| x.into()).collect(), b.iter().map(|&x| x.into()).collect());
    let largest = a.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
    a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / largest
}
