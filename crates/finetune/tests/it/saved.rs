//! Finished checkpoints, read back: moments by name, rates, the adapter.

use std::fs;

use tamis_artifact::NoProgress;
use tamis_finetune::{
    EpochRecord, Every, FinetuneError, Lora, LoraParams, SavedCheckpoint, Steps, TrainParams,
};
use tamis_model::{Batch, DType, target_log_probs};
use tch::{Kind, Tensor};

use crate::common::{data, llama, settings};
use crate::run::{Run, steps_in};

fn lora() -> LoraParams {
    let target = "(q|v)_proj".parse().unwrap();
    LoraParams { rank: 3, alpha: 6.0, target, seed: 4, ..LoraParams::default() }
}

fn close(found: &Tensor, expected: &Tensor) {
    let scale = expected.abs().max().double_value(&[]).max(f64::MIN_POSITIVE);
    let error = (found - expected).abs().max().double_value(&[]) / scale;
    assert!(error < 1e-12, "{error:e}");
}

/// After one step from nothing, m is (1 − β₁) g and v is (1 − β₂) g², g being autograd's.
#[test]
fn moments_by_name_are_those_of_the_optimizer() {
    let data = data();
    let params = TrainParams {
        epochs: 1,
        batch_size: data.len(),
        max_grad_norm: None,
        betas: (0.8, 0.95),
        ..settings()
    };
    let run = Run { kind: DType::F64, params, lora: Some(lora()), ..Run::new() };
    let dir = tempfile::tempdir().unwrap();
    run.go(Some(dir.path()), &data, &mut NoProgress).unwrap();
    let saved = SavedCheckpoint::open(dir.path().join("checkpoint-1")).unwrap();
    assert_eq!(saved.steps(), 1);
    assert_eq!(saved.optimizer().betas, (0.8, 0.95));

    let model = llama(DType::F64);
    let fresh = Lora::new(lora(), &*model).unwrap();
    let named: Vec<(String, Tensor)> =
        fresh.parameters().map(|(name, tensor)| (name, tensor.set_requires_grad(true))).collect();
    let batch = Batch::new(&data.iter().collect::<Vec<_>>(), model.shape().device).unwrap();
    let log_probs = target_log_probs(&*model, &batch, &mut fresh.tap()).unwrap();
    (-log_probs.mean(Kind::Double)).backward();
    for (name, tensor) in &named {
        let (m, v) = saved.moments(name).unwrap();
        let g = tensor.grad();
        close(m, &(&g * (1.0 - 0.8)));
        close(v, &(&g * &g * (1.0 - 0.95)));
    }
    let trained = saved.lora(&*model).unwrap();
    assert_eq!(trained.layers().collect::<Vec<_>>(), fresh.layers().collect::<Vec<_>>());
    assert_ne!(trained.fingerprint().unwrap(), fresh.fingerprint().unwrap());
    let error = saved.moments("model.layers.0.mlp.up_proj.lora_A.weight").unwrap_err();
    assert!(error.to_string().contains("up_proj"), "{error}");
}

#[test]
fn every_epoch_leaves_a_checkpoint_with_its_mean_rate() {
    let run = Run { every: Every::Epochs(1), keep: 9, lora: Some(lora()), ..Run::new() };
    let dir = tempfile::tempdir().unwrap();
    let mut curve = Steps::default();
    run.go(Some(dir.path()), &data(), &mut curve).unwrap();
    assert_eq!(steps_in(dir.path()), [5, 10]);
    let mean = |epoch: usize| {
        let own = curve.iter().filter(|record| record.epoch == epoch);
        own.map(|record| record.learning_rate).sum::<f64>() / 5.0
    };
    let mut fingerprints = Vec::new();
    for (epoch, step) in [(1, 5), (2, 10)] {
        let saved = SavedCheckpoint::open(dir.path().join(format!("checkpoint-{step}"))).unwrap();
        let rate = saved.learning_rate().unwrap();
        assert!((rate - mean(epoch)).abs() < 1e-15, "{rate} {}", mean(epoch));
        assert_eq!((saved.epochs().len(), saved.params()), (epoch, &run.params));
        fingerprints.push(saved.fingerprint());
    }
    assert_ne!(fingerprints[0], fingerprints[1]);

    // Interrupted in the middle of an epoch, and killed after its end: the same.
    let other = tempfile::tempdir().unwrap();
    Run { every: Every::Steps(3), ..run.clone() }.die_at(other.path(), 5);
    run.die_at(other.path(), 7);
    run.go(Some(other.path()), &data(), &mut NoProgress).unwrap();
    for (number, step) in [5, 10].into_iter().enumerate() {
        let saved = SavedCheckpoint::open(other.path().join(format!("checkpoint-{step}"))).unwrap();
        assert_eq!(saved.fingerprint(), fingerprints[number]);
        let rate = saved.learning_rate().unwrap();
        assert!((rate - mean(number + 1)).abs() < 1e-15, "{rate}");
    }

    let every_other = Run { every: Every::Epochs(2), at_end: false, ..run };
    let dir = tempfile::tempdir().unwrap();
    every_other.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    assert_eq!(steps_in(dir.path()), [10]);
}

#[test]
fn records_of_before_the_rate_was_kept_are_read() {
    let text = r#"{"loss":1.5,"steps":5,"seconds":0.25}"#;
    let record: EpochRecord = serde_json::from_str(text).unwrap();
    assert_eq!((record.steps, record.learning_rate), (5, None));
}

#[test]
fn a_damaged_checkpoint_or_none_is_refused() {
    let run = Run { lora: Some(lora()), ..Run::new() };
    let dir = tempfile::tempdir().unwrap();
    run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    let error = SavedCheckpoint::open(dir.path()).unwrap_err();
    assert!(matches!(error, FinetuneError::Damaged { .. }), "{error}");
    let place = dir.path().join("checkpoint-10");
    let file = place.join("optimizer.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = SavedCheckpoint::open(place).unwrap_err();
    assert!(matches!(error, FinetuneError::Damaged { .. }), "{error}");
}
