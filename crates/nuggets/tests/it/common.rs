//! Models and samples that the tests share, and one-shot texts made by hand.

use std::path::PathBuf;

use tamis_dataset::{
    Answers, Content, EncodeOptions, Encoded, Encoder, Message, Outcome, Sample, Template,
    TextTokenizer, plan_batches,
};
use tamis_model::{
    Attention, Batch, CausalLm, DType, DeviceSpec, LoadOptions, NoTap, load, target_log_probs,
};
use tamis_nuggets::{GoldenCandidate, GoldenParams};
use tch::Kind;

/// Tiny models of every architecture, whose tokenizers put nothing before a text.
pub(crate) const ARCHITECTURES: [&str; 7] =
    ["llama", "llama-tied", "llama-sharded", "mistral", "qwen2", "gpt2", "baichuan2"];

/// One of [`ARCHITECTURES`], or `begins` and `plain`, of which the former begins its texts.
pub(crate) fn folder(name: &str) -> PathBuf {
    let of = if ["begins", "plain"].contains(&name) { "ifd-scoring" } else { "model" };
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    crates.join(of).join("tests/fixtures").join(name)
}

pub(crate) fn model(name: &str, kind: DType) -> Box<dyn CausalLm> {
    let options = LoadOptions { device: DeviceSpec::Cpu, kind, attention: Attention::Fused };
    load(folder(name), &options).unwrap()
}

pub(crate) fn tokenizer(name: &str) -> TextTokenizer {
    TextTokenizer::from_dir(folder(name)).unwrap()
}

pub(crate) fn sample(index: usize, instruction: &str, input: &str, output: &str) -> Sample {
    let content = Content::Instruction {
        instruction: instruction.to_owned(),
        input: input.to_owned(),
        output: output.to_owned(),
    };
    Sample { id: format!("s{index}").into(), index, content }
}

pub(crate) fn chat(index: usize, turns: &[(&str, &str)]) -> Sample {
    let messages = turns.iter().map(|(role, text)| Message::new(*role, *text)).collect();
    Sample { id: format!("s{index}").into(), index, content: Content::Chat { messages } }
}

/// Short samples of many lengths, numbered from `first` on.
pub(crate) fn pool(first: usize, count: usize) -> Vec<Sample> {
    let words = ["the", "sky", "is", "blue", "at", "7", "a b", "or"];
    let text = |seed: usize, length: usize| {
        let word = |i: usize| words[(seed * 5 + i * (seed % 3 + 1)) % words.len()];
        (0..length).map(word).collect::<Vec<_>>().join(" ")
    };
    (first..first + count)
        .map(|n| sample(n, &text(n, 1 + n % 3), "", &text(n + 2, 1 + (n * 3) % 4)))
        .collect()
}

/// Settings within what the tiny models read.
pub(crate) fn short(name: &str) -> GoldenParams {
    let max_length = if ["begins", "plain"].contains(&name) { 320 } else { 64 };
    GoldenParams { template: Template::None, max_length, ..GoldenParams::default() }
}

/// Tokens of samples, nothing added or cut.
pub(crate) fn encoded(
    tokenizer: TextTokenizer,
    template: Template,
    samples: &[Sample],
) -> Vec<Encoded> {
    let options = EncodeOptions {
        max_length: 100_000,
        answers: Answers::Last,
        append_eos: false,
        ..EncodeOptions::default()
    };
    let encoder = Encoder::new(tokenizer, template, options).unwrap();
    let outcomes = encoder.encode_all(samples);
    outcomes.into_iter().map(|outcome| Outcome::scored(outcome).unwrap()).collect()
}

/// `example`, `separator` and the anchor without its first `opening` tokens: one text.
pub(crate) fn joined(
    example: &[u32],
    separator: &[u32],
    anchor: &Encoded,
    opening: usize,
) -> Encoded {
    let before = [example, separator].concat();
    let mut supervised = vec![false; before.len()];
    supervised.extend(&anchor.supervised[opening..]);
    Encoded { ids: [&before, &anchor.ids[opening..]].concat(), supervised, ..anchor.clone() }
}

/// The naive way in batches: every text whole, of like length together, logits at targets alone.
/// The mean log-probability of each text.
pub(crate) fn batched(model: &dyn CausalLm, texts: &[Encoded], budget: usize) -> Vec<f64> {
    let lengths: Vec<usize> = texts.iter().map(|text| text.len() - 1).collect();
    let mut means = vec![f64::NAN; texts.len()];
    let _no_grad = tch::no_grad_guard();
    for members in plan_batches(&lengths, budget).unwrap() {
        let rows: Vec<&Encoded> = members.iter().map(|&member| &texts[member]).collect();
        let batch = Batch::predicting_only(&rows, model.shape().device).unwrap();
        let log_probs = target_log_probs(model, &batch, &mut NoTap).unwrap();
        let log_probs = Vec::<f64>::try_from(log_probs.to_kind(Kind::Double)).unwrap();
        let mut rest = log_probs.as_slice();
        for (&member, &count) in members.iter().zip(&batch.counts) {
            let (own, others) = rest.split_at(count);
            means[member] = own.iter().sum::<f64>() / count as f64;
            rest = others;
        }
    }
    means
}

/// The rises, of which there must be some.
pub(crate) fn rises(candidate: &GoldenCandidate) -> &[f64] {
    candidate.rises.as_ref().unwrap_or_else(|reason| panic!("{}: {reason}", candidate.id))
}

/// The largest difference between the rises of the same candidates.
pub(crate) fn apart(found: &[GoldenCandidate], expected: &[GoldenCandidate]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let mut largest = 0.0f64;
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((&found.id, &found.own), (&expected.id, &expected.own));
        match (&found.rises, &expected.rises) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.len(), expected.len());
                for (a, b) in found.iter().zip(expected) {
                    largest = largest.max((a - b).abs());
                }
            }
            (found, expected) => assert_eq!(found, expected),
        }
    }
    largest
}
