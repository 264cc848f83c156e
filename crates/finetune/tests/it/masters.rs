//! Models in bf16, whose weights follow f32 masters.

use tamis_artifact::NoProgress;
use tamis_dataset::Encodings;
use tamis_finetune::{Schedule, Steps, TrainParams};
use tamis_model::{CausalLm, DType};

use crate::common::{data, difference, llama, settings, weights};

fn trained(kind: DType, params: &TrainParams) -> (Box<dyn CausalLm>, Vec<f64>) {
    let mut model = llama(kind);
    let trainer = params.clone().check().unwrap();
    let report = trainer.train(model.as_mut(), &Encodings::of(&data()), &mut NoProgress).unwrap();
    (model, report.losses)
}

#[test]
fn training_in_bf16_follows_training_in_f32() {
    let params = TrainParams { epochs: 8, ..settings() };
    let ((half, half_losses), (full, losses)) =
        (trained(DType::Bf16, &params), trained(DType::F32, &params));
    let last = |losses: &[f64]| losses[losses.len() - 5..].iter().sum::<f64>() / 5.0;
    assert!(last(&losses) < 0.8 * losses[0]);
    assert!((last(&half_losses) / last(&losses) - 1.0).abs() < 0.05, "{half_losses:?} {losses:?}");
    let (largest, at) = difference(&weights(&*half), &weights(&*full));
    assert!(largest < 0.2, "{largest} in {at}");
}

#[test]
fn updates_below_the_precision_of_bf16_add_up() {
    // Weights of about 0.3 have steps of 2⁻⁹ in bf16; each update is about a twentieth of that.
    let params = TrainParams {
        epochs: 12,
        learning_rate: 1e-4,
        schedule: Schedule::Constant,
        warmup_ratio: 0.0,
        ..settings()
    };
    let start = weights(&*llama(DType::Bf16));
    let moved = |model: &dyn CausalLm| {
        let now = weights(model);
        let pairs = now.iter().zip(&start).flat_map(|((_, a), (_, b))| a.iter().zip(b));
        let changed = pairs.clone().filter(|(a, b)| (*a - *b).abs() > 0.0).count();
        changed as f64 / pairs.count() as f64
    };
    let (half, losses) = trained(DType::Bf16, &params);
    assert!(moved(&*half) > 0.5, "{}", moved(&*half));
    let (_, full) = trained(DType::F32, &params);
    // Whole epochs, as steps see different samples.
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let fall = |losses: &[f64]| mean(&losses[..5]) - mean(&losses[55..]);
    let (down, expected) = (fall(&losses), fall(&full));
    assert!((down / expected - 1.0).abs() < 0.2, "{down} {expected}");
}

#[test]
fn micro_batches_add_up_in_f32() {
    // With sums in bf16 the two would differ by about 1 part in 256 in every gradient.
    let norm = |token_budget| {
        let mut records = Steps::default();
        let params = TrainParams { token_budget, batch_size: 18, epochs: 1, ..settings() };
        let trainer = params.check().unwrap();
        trainer.train(llama(DType::Bf16).as_mut(), &Encodings::of(&data()), &mut records).unwrap();
        (records[0].grad_norm, records[0].micro_batches)
    };
    let ((whole, one), (parts, many)) = (norm(10_000), norm(1));
    assert_eq!((one, many), (1, 18));
    assert!((whole / parts - 1.0).abs() < 2e-3, "{whole} {parts}");
}
