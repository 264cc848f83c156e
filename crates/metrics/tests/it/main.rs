//! The one integration test binary of `tamis-metrics`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod fixtures;
mod groups;
mod input;
mod invariance;
mod judgements;
mod lds;
mod reading;
mod sacrebleu;
mod scipy;
mod sets;
mod witnesses;

use tamis_metrics::{Bleu, BleuParams, Chrf, ChrfParams, Ter, TerParams};

fn bleu() -> Bleu {
    BleuParams::default().check().unwrap()
}

fn chrf() -> Chrf {
    ChrfParams::default().check().unwrap()
}

fn chrf_plus_plus() -> Chrf {
    ChrfParams::plus_plus().check().unwrap()
}

fn ter() -> Ter {
    TerParams::default().check().unwrap()
}

/// Repeatable numbers, uniform in 0..1.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() * bound as f64) as usize
    }
}

/// References of a small vocabulary, and hypotheses that miss some of their words.
fn corpus(segments: usize, missing: f64, seed: u64) -> (Vec<String>, Vec<String>) {
    let mut numbers = Numbers(seed);
    let references: Vec<Vec<String>> = (0..segments)
        .map(|_| (0..5 + numbers.below(20)).map(|_| format!("w{}", numbers.below(50))).collect())
        .collect();
    let mut numbers = Numbers(seed ^ missing.to_bits());
    let mut miss = |words: &Vec<String>| {
        let word = |word: &String| {
            if numbers.next() < missing { "oops".to_owned() } else { word.clone() }
        };
        words.iter().map(word).collect::<Vec<_>>().join(" ")
    };
    let hypotheses = references.iter().map(&mut miss).collect();
    (hypotheses, references.iter().map(|words| words.join(" ")).collect())
}
