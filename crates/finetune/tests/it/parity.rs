//! Five steps equal those of `PyTorch`: loss, gradient norm, learning rate and all weights.

use serde::Deserialize;
use tamis_finetune::{Decay, Steps, TrainParams};
use tamis_model::DType;
use tch::{Kind, Tensor};

use crate::common::{Data, difference, fixture, llama, weights};

#[derive(Deserialize)]
struct Run {
    settings: TrainParams,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    loss: f64,
    grad_norm: f64,
    learning_rate: f64,
}

fn run(name: &str) -> Run {
    let text = std::fs::read(fixture(&format!("{name}.json"))).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn expected_weights(name: &str) -> Vec<(String, Vec<f64>)> {
    let path = fixture(&format!("{name}.safetensors"));
    let values = |tensor: &Tensor| Vec::try_from(tensor.flatten(0, -1).to_kind(Kind::Double));
    let mut weights: Vec<(String, Vec<f64>)> = Tensor::read_safetensors(path)
        .unwrap()
        .iter()
        .map(|(name, tensor)| (name.clone(), values(tensor).unwrap()))
        .collect();
    weights.sort_by(|a, b| a.0.cmp(&b.0));
    weights
}

fn assert_parity(name: &str) -> Run {
    let expected = run(name);
    let data = Data::read().seen_as_recorded(expected.settings.seed);
    let mut model = llama(DType::F32);
    let before = weights(&*model);
    let mut records = Steps::default();
    // Small enough that the five steps take more than one pass each.
    let settings = TrainParams { token_budget: 40, ..expected.settings.clone() };
    let trainer = settings.check().unwrap();
    trainer.train(model.as_mut(), &tamis_dataset::Encodings::of(&data), &mut records).unwrap();

    assert_eq!(records.len(), 5);
    assert!(records.iter().any(|record| record.micro_batches > 1));
    for (record, step) in records.iter().zip(&expected.steps) {
        let context = format!("{name}, step {}", record.step);
        assert!((record.loss - step.loss).abs() < 1e-5, "{context}: loss {}", record.loss);
        let norm = (record.grad_norm / step.grad_norm - 1.0).abs();
        assert!(norm < 1e-5, "{context}: gradient norm {}", record.grad_norm);
        let rate = (record.learning_rate - step.learning_rate).abs();
        assert!(rate < 1e-12, "{context}: learning rate {}", record.learning_rate);
    }
    let by_name = |mut list: Vec<(String, Vec<f64>)>| {
        list.sort_by(|a, b| a.0.cmp(&b.0));
        list
    };
    let (found, expected_weights) = (by_name(weights(&*model)), expected_weights(name));
    let (largest, at) = difference(&found, &expected_weights);
    println!("{name}: largest difference {largest:e} in {at}");
    assert!(largest < 1e-5, "{name}: {largest:e} in {at}");
    // The test would mean little if the weights had hardly moved.
    assert!(difference(&by_name(before), &expected_weights).0 > 5e-3);
    expected
}

#[test]
fn linear_decay_with_warm_up_and_weight_decay_on_matrices() {
    let run = assert_parity("linear");
    assert_eq!(run.settings.decay, Decay::Matrices);
    assert!(run.settings.weight_decay > 0.0 && run.steps[0].learning_rate.abs() < 1e-300);
}

#[test]
fn cosine_with_clipping_in_every_step_and_weight_decay_on_everything() {
    let run = assert_parity("clipped");
    assert_eq!(run.settings.decay, Decay::All);
    let highest = run.settings.max_grad_norm.unwrap();
    assert!(run.steps.iter().all(|step| step.grad_norm > highest));
}

#[test]
fn constant_rate_without_clipping_or_decay() {
    let run = assert_parity("plain");
    assert_eq!(run.settings.max_grad_norm, None);
}
