//! Fitting on a model: what must not matter, storing and resuming.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_dataset::{Encoded, Encodings, SampleId};
use tamis_gradients::Labels;
use tamis_kfac::{
    FactorFit, FactorStore, Factors, FitParams, FitReport, KfacError, NonFinite, Sums, Tokens,
};
use tamis_model::{Attention, CausalLm, DType, DeviceSpec, LayerInfo, LoadOptions, load};

use crate::fitted::StopAfter;

fn model() -> (Box<dyn CausalLm>, Vec<LayerInfo>) {
    named("qwen2")
}

pub(crate) fn named(name: &str) -> (Box<dyn CausalLm>, Vec<LayerInfo>) {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(name);
    let options =
        LoadOptions { device: DeviceSpec::Cpu, kind: DType::F64, attention: Attention::Fused };
    let model = load(dir, &options).unwrap();
    let layers = model.layers().iter().filter(|l| !l.head).cloned().collect();
    (model, layers)
}

pub(crate) fn samples(model: &dyn CausalLm, count: usize) -> Vec<Encoded> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let vocabulary = model.shape().vocab_size as u32;
    (0..count)
        .map(|index| {
            let length = rng.random_range(3..14);
            Encoded {
                id: SampleId::from(format!("s{index}")),
                index,
                ids: (0..length).map(|_| rng.random_range(0..vocabulary)).collect(),
                supervised: (0..length).map(|t| t >= length / 2).collect(),
                truncated: false,
            }
        })
        .collect()
}

fn distance(one: &Factors, two: &Factors) -> f64 {
    assert_eq!(one.count(), two.count());
    (0..one.layers().len())
        .flat_map(|n| {
            let (a, b) = (one.layer(n).unwrap(), two.layer(n).unwrap());
            [
                (&a.a - &b.a).norm().double_value(&[]) / b.a.norm().double_value(&[]),
                (&a.s - &b.s).norm().double_value(&[]) / b.s.norm().double_value(&[]),
            ]
        })
        .fold(0.0, f64::max)
}

#[test]
fn batches_order_and_parts_do_not_matter() {
    let (model, layers) = model();
    let data = samples(model.as_ref(), 15);
    for labels in [Labels::Data, Labels::Sampled { seed: 1 }] {
        for tokens in [Tokens::Expand, Tokens::Reduce] {
            let fit = |token_budget, data: &[Encoded]| {
                let params = FitParams { labels, tokens, token_budget, ..FitParams::default() };
                let fit = FactorFit { model: model.as_ref(), layers: &layers, params };
                fit.sum(data, &mut NoProgress).unwrap()
            };
            let one = fit(1, &data);
            assert!(distance(&fit(50, &data), &one) < 1e-9);
            let mut backwards = data.clone();
            backwards.reverse();
            assert!(distance(&fit(50, &backwards), &one) < 1e-9);
            let mut halves = fit(50, &data[..7]);
            halves.merge(&fit(30, &data[7..])).unwrap();
            assert!(distance(&halves, &one) < 1e-9);
        }
    }
}

/// What a stage says when it starts.
#[derive(Default)]
struct Told {
    total: u64,
    done: u64,
}

impl Progress for Told {
    fn start(&mut self, stage: &Stage<'_>) {
        (self.total, self.done) = (stage.total, stage.done);
    }
    fn advance(&mut self, _: u64) {}
}

#[test]
fn a_fit_is_stored_resumed_and_refused_for_other_settings() {
    let (model, layers) = model();
    let data = samples(model.as_ref(), 10);
    let params = FitParams { part_samples: 4, ..FitParams::default() };
    let fit = FactorFit { model: model.as_ref(), layers: &layers, params };
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("factors");
    let run = |fit: &FactorFit<'_>, progress: &mut dyn Progress| {
        fit.run(&Encodings::of(&data), &folder, progress)
    };

    // An interrupted run: the first part only.
    let stopped = std::panic::catch_unwind(AssertUnwindSafe(|| run(&fit, &mut StopAfter(6))));
    assert!(stopped.is_err() && FactorStore::open(&folder).is_err());
    assert!(folder.join("part-00000.safetensors").exists());
    assert!(!folder.join("part-00001.safetensors").exists());
    let mut told = Told::default();
    let resumed = run(&fit, &mut told).unwrap();
    assert_eq!((told.done, told.total), (4, 10));
    assert!(distance(&resumed, &fit.sum(&data, &mut NoProgress).unwrap()) < 1e-9);
    let tokens: usize = data.iter().map(|s| s.ids.len()).sum();
    assert_eq!(resumed.count(), tokens as f64);

    let other = FactorFit { params: FitParams { labels: Labels::Data, ..params }, ..fit };
    let message = run(&other, &mut NoProgress).unwrap_err().to_string();
    assert!(message.contains("labels"), "{message}");

    // A flipped byte is found out.
    let part = folder.join("part-00001.safetensors");
    let mut bytes = std::fs::read(&part).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let store = FactorStore::open(&folder).unwrap();
    assert!(store.read(0, &layers, tch::Device::Cpu).is_ok());
    let message = store.read(1, &layers, tch::Device::Cpu).unwrap_err().to_string();
    assert!(message.contains("part-00001"), "{message}");
}

#[test]
fn nothing_to_fit_on_is_an_error() {
    let (model, layers) = model();
    let fit = FactorFit { model: model.as_ref(), layers: &layers, params: FitParams::default() };
    let dir = tempfile::tempdir().unwrap();
    let none = Encodings::of(&[]);
    let error = fit.run(&none, dir.path().join("f"), &mut NoProgress).unwrap_err();
    assert!(matches!(error, KfacError::NoTokens { .. }), "{error}");
}

#[test]
fn the_head_is_refused() {
    let (model, _) = model();
    let layers = [model.layers().last().unwrap().clone()];
    let fit = FactorFit { model: model.as_ref(), layers: &layers, params: FitParams::default() };
    let data = samples(model.as_ref(), 2);
    let error = fit.sum(&data, &mut NoProgress).unwrap_err();
    assert!(matches!(error, KfacError::Head { .. }), "{error}");
}

/// A sample with a token whose embedding is not a number: named, or left out on request.
#[test]
fn a_sample_that_is_not_finite_is_named_and_skipped_only_on_request() {
    // Its head is not tied to its embedding, which would spoil every sample.
    let (model, layers) = named("llama");
    let mut data = samples(model.as_ref(), 9);
    let token = model.shape().vocab_size as u32 - 1;
    for sample in &mut data {
        sample.ids.iter_mut().for_each(|id| *id = (*id).min(token - 1));
    }
    let good = data.clone();
    data[4].ids[1] = token;
    let embedding = model.parameters().get("model.embed_tokens.weight").unwrap();
    let _ = embedding.get(i64::from(token)).fill_(f64::NAN);

    let fit = FactorFit { model: model.as_ref(), layers: &layers, params: FitParams::default() };
    let error = fit.sum(&data, &mut NoProgress).unwrap_err();
    assert!(matches!(error, KfacError::NonFinite { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("sample s4:") && text.contains(&layers[0].name), "{text}");

    let params = FitParams { non_finite: NonFinite::Skip, ..fit.params };
    let fit = FactorFit { params, ..fit };
    let mut report = FitReport::default();
    let shape = model.shape();
    let mut left = Factors::zeros(&layers, shape.kind, shape.device).unwrap();
    fit.add(&data, &mut left, &mut report, &mut NoProgress).unwrap();
    assert_eq!(report.skipped, [SampleId::from("s4")]);
    let mut without = good;
    let _ = without.remove(4);
    assert!(distance(&left, &fit.sum(&without, &mut NoProgress).unwrap()) < 1e-9);
}
