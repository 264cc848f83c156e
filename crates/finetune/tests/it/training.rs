//! The training loop: what it must not depend on, what it must refuse, what it must leave behind.

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_dataset::{Encoded, Encodings, Reason};
use tamis_finetune::{
    FinetuneError, Schedule, StepRecord, Steps, TrainParams, TrainReport, epoch_order,
};
use tamis_model::{CausalLm, DType, LoadOptions, load};

use crate::common::{data, difference, fixture, llama, settings, weights};

fn train(model: &mut dyn CausalLm, params: TrainParams, data: &[Encoded]) -> TrainReport {
    params.check().unwrap().train(model, &Encodings::of(data), &mut NoProgress).unwrap()
}

fn trained(kind: DType, params: TrainParams) -> Vec<(String, Vec<f64>)> {
    let mut model = llama(kind);
    train(model.as_mut(), params, &data());
    weights(&*model)
}

/// The error of training `model`, and whether its weights are bit for bit what they were.
fn refused(
    model: &mut dyn CausalLm,
    params: TrainParams,
    data: &[Encoded],
) -> (FinetuneError, bool) {
    let before = model.parameters().fingerprint().unwrap();
    let error =
        params.check().unwrap().train(model, &Encodings::of(data), &mut NoProgress).unwrap_err();
    assert_frozen(model);
    (error, model.parameters().fingerprint().unwrap() == before)
}

fn assert_frozen(model: &dyn CausalLm) {
    for (name, tensor) in model.parameters().iter() {
        assert!(!tensor.requires_grad(), "{name} still takes gradients");
        assert!(!tensor.grad().defined(), "{name} still holds a gradient");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn micro_batching_does_not_change_the_result(token_budget in 1usize..120) {
        let whole = trained(DType::F64, TrainParams { token_budget: 10_000, ..settings() });
        let parts = trained(DType::F64, TrainParams { token_budget, ..settings() });
        let (largest, at) = difference(&whole, &parts);
        prop_assert!(largest < 1e-6, "{largest:e} in {at}");
    }

    #[test]
    fn the_order_inside_a_step_does_not_change_the_result(seed: u64, token_budget in 20usize..200) {
        let trained = |data: &[Encoded]| {
            let mut model = llama(DType::F64);
            train(model.as_mut(), TrainParams { batch_size: 18, token_budget, ..settings() }, data);
            weights(&*model)
        };
        let data = data();
        let shuffled: Vec<Encoded> =
            epoch_order(data.len(), seed, 0).into_iter().map(|i| data[i].clone()).collect();
        let (largest, at) = difference(&trained(&data), &trained(&shuffled));
        prop_assert!(largest < 1e-6, "{largest:e} in {at}");
    }
}

#[test]
fn equal_seeds_give_equal_bytes_and_other_seeds_do_not() {
    let fingerprint = |seed| {
        let mut model = llama(DType::F32);
        train(model.as_mut(), TrainParams { seed, ..settings() }, &data());
        model.parameters().fingerprint().unwrap()
    };
    assert_eq!(fingerprint(3), fingerprint(3));
    assert_ne!(fingerprint(3), fingerprint(4));
}

#[test]
fn a_second_run_on_the_same_model_starts_afresh() {
    // No gradient, moment or flag of the first run may reach the second.
    let mut model = llama(DType::F32);
    let start = model.parameters().snapshot().unwrap();
    train(model.as_mut(), settings(), &data());
    let first = weights(&*model);
    model.parameters().copy_from(&start).unwrap();
    train(model.as_mut(), settings(), &data());
    assert!(difference(&first, &weights(&*model)).0 <= 0.0);
}

#[test]
fn a_tiny_task_is_memorised() {
    let data = &data()[..4];
    let mut model = llama(DType::F32);
    let params = TrainParams {
        epochs: 60,
        learning_rate: 1e-2,
        schedule: Schedule::Cosine,
        batch_size: 2,
        ..TrainParams::default()
    };
    let mut curve = Steps::default();
    let trainer = params.check().unwrap();
    let report = trainer.train(model.as_mut(), &Encodings::of(data), &mut curve).unwrap();
    assert_eq!((report.steps, report.epochs.len(), curve.len()), (120, 60, 120));
    assert!(report.epochs[0].loss > 3.0, "{:?}", report.epochs[0]);
    assert!(report.epochs[59].loss < 0.05, "{:?}", report.epochs[59]);
}

#[test]
fn training_works_where_the_caller_has_switched_gradients_off() {
    let on = trained(DType::F32, settings());
    let off = tch::no_grad(|| trained(DType::F32, settings()));
    assert!(difference(&on, &off).0 <= 0.0);
}

#[test]
fn weights_are_frozen_and_gradients_freed_afterwards() {
    let mut model = llama(DType::F32);
    train(model.as_mut(), settings(), &data());
    assert_frozen(&*model);
}

#[test]
fn records_and_report_add_up() {
    #[derive(Default)]
    struct Watch(usize, Vec<StepRecord>);
    impl Progress for Watch {
        fn start(&mut self, stage: &Stage<'_>) {
            self.0 = stage.total as usize;
        }
        fn advance(&mut self, _: u64) {}
        fn record(&mut self, kind: &str, record: &Value) {
            if kind == "step" {
                self.1.push(StepRecord::deserialize(record).unwrap());
            }
        }
    }
    let data = data();
    let mut watch = Watch::default();
    let trainer = settings().check().unwrap();
    let report =
        trainer.train(llama(DType::F32).as_mut(), &Encodings::of(&data), &mut watch).unwrap();
    let Watch(steps, records) = watch;

    // 18 samples in batches of 4: five steps, the last of two samples; two epochs.
    assert_eq!((steps, trainer.steps(data.len()), records.len(), report.steps), (10, 10, 10, 10));
    let samples: Vec<usize> = records.iter().map(|record| record.samples).collect();
    assert_eq!(samples, [4, 4, 4, 4, 2, 4, 4, 4, 4, 2]);
    assert!(records.iter().enumerate().all(|(k, r)| r.step == k + 1 && r.steps == 10));
    assert!(records.iter().enumerate().all(|(k, r)| r.epoch == k / 5 + 1));
    // Warm-up of 3 % is one step.
    let rates: Vec<f64> = records.iter().map(|record| record.learning_rate / 5e-3).collect();
    assert!(rates[0].abs() < 1e-15 && (rates[1] - 1.0).abs() < 1e-15);
    assert!((rates[9] - 1.0 / 9.0).abs() < 1e-12);

    let tokens: usize = data.iter().map(|sample| sample.ids.len()).sum();
    let targets: usize = data.iter().map(Encoded::targets).sum();
    assert_eq!((report.tokens, report.targets), (2 * tokens, 2 * targets));
    assert_eq!(records.iter().map(|r| r.tokens).sum::<usize>(), report.tokens);
    for (epoch, records) in report.epochs.iter().zip(records.chunks(5)) {
        let nll: f64 = records.iter().map(|r| r.loss * r.targets as f64).sum();
        assert!((epoch.loss - nll / targets as f64).abs() < 1e-12);
        assert_eq!(epoch.steps, 5);
    }
    let fitted = report.epochs[1].loss < report.epochs[0].loss;
    assert!(fitted && report.seconds > 0.0);
}

#[test]
fn the_result_is_a_folder_that_loads_with_the_same_weights() {
    let mut model = llama(DType::F32);
    train(model.as_mut(), settings(), &data());
    let out = tempfile::tempdir().unwrap();
    model.parameters().save_pretrained(fixture("llama"), out.path()).unwrap();
    let again = load(out.path(), &LoadOptions::default()).unwrap();
    let (saved, loaded) = (model.parameters(), again.parameters());
    assert_eq!(saved.fingerprint().unwrap(), loaded.fingerprint().unwrap());
    assert_ne!(
        llama(DType::F32).parameters().fingerprint().unwrap(),
        loaded.fingerprint().unwrap()
    );
}

#[test]
fn a_weight_that_is_not_a_number_stops_the_first_step() {
    let mut model = llama(DType::F32);
    let weight = model.parameters().get("model.layers.1.mlp.up_proj.weight").unwrap();
    let _ = weight.get(3).fill_(f64::NAN);
    let (error, untouched) = refused(model.as_mut(), settings(), &data());
    assert!(matches!(error, FinetuneError::Diverged { step: 1, epoch: 1, .. }), "{error}");
    assert!(error.to_string().contains("the loss is not finite (loss NaN)"), "{error}");
    assert!(untouched);
}

#[test]
fn a_gradient_that_overflows_is_named() {
    // Logits of 1e30 give a finite loss, but a gradient of the head whose norm is none.
    let mut model = llama(DType::F32);
    let _ = model.parameters().get("model.norm.weight").unwrap().shallow_clone().fill_(1e30);
    let (error, untouched) = refused(model.as_mut(), settings(), &data());
    let FinetuneError::Diverged { step: 1, loss, ref what, .. } = error else {
        panic!("expected divergence, got {error}")
    };
    assert!(loss.is_finite() && loss > 1e20);
    assert_eq!(what, "the gradient norm of `model.embed_tokens.weight` is not finite");
    assert!(untouched);
}

#[test]
fn divergence_leaves_the_last_good_weights() {
    // Weights of 1e30 after the first step overflow the second one's loss or gradient.
    let params = TrainParams {
        learning_rate: 1e30,
        warmup_ratio: 0.0,
        max_grad_norm: None,
        weight_decay: 0.0,
        ..settings()
    };
    let mut model = llama(DType::F32);
    let mut curve = Steps::default();
    let trainer = params.clone().check().unwrap();
    let error = trainer.train(model.as_mut(), &Encodings::of(&data()), &mut curve).unwrap_err();
    let FinetuneError::Diverged { step, learning_rate, .. } = error else {
        panic!("expected divergence, got {error}")
    };
    assert_eq!(curve.len(), step - 1, "every good step is reported, the bad one is not");
    assert!(step > 1 && learning_rate > 1e29);
    assert!(weights(&*model).iter().flat_map(|(_, values)| values).all(|value| value.is_finite()));
    assert_frozen(&*model);
}

#[test]
fn data_that_cannot_be_trained_on_is_refused_before_the_first_step() {
    let mut model = llama(DType::F32);
    let mut message = |change: &dyn Fn(&mut Encoded)| {
        let mut data = data();
        change(&mut data[5]);
        let (error, untouched) = refused(model.as_mut(), settings(), &data);
        assert!(untouched);
        assert!(matches!(error, FinetuneError::Sample { index: 5, .. }), "{error}");
        error.to_string()
    };
    let foreign = message(&|sample| sample.ids[1] = 48);
    assert!(foreign.contains("token id 48 is outside the model's vocabulary of 48"), "{foreign}");
    let uneven = message(&|sample| sample.supervised.push(true));
    assert!(uneven.contains("marks of supervision"), "{uneven}");

    let (error, untouched) = refused(model.as_mut(), settings(), &[]);
    assert!(matches!(error, FinetuneError::NoData) && untouched);
}

#[test]
fn rows_without_a_target_are_left_out_and_listed() {
    // The first token has nothing to be predicted from.
    for only_first in [false, true] {
        let mut data = data();
        data[5].supervised.fill(false);
        data[5].supervised[0] = only_first;
        let report = train(llama(DType::F32).as_mut(), settings(), &data);
        let skipped: Vec<(usize, &Reason)> =
            report.skipped.iter().map(|row| (row.index, &row.reason)).collect();
        assert_eq!(skipped, [(5, &Reason::TooFewTokens)]);
    }
}

#[test]
fn half_precision_is_refused() {
    let mut model = llama(DType::F16);
    let (error, untouched) = refused(model.as_mut(), settings(), &data());
    assert!(matches!(error, FinetuneError::HalfPrecision { .. }), "{error}");
    assert!(error.to_string().contains("expected Float, BFloat16 or Double"), "{error}");
    assert!(untouched);
}

#[test]
fn a_loss_far_above_blind_guessing_counts_as_diverged() {
    let params = TrainParams { learning_rate: 30.0, warmup_ratio: 0.0, ..settings() };
    let mut model = llama(DType::F32);
    let error = params.clone().check().unwrap().train(
        model.as_mut(),
        &Encodings::of(&data()),
        &mut NoProgress,
    );
    let FinetuneError::Diverged { step: 2, loss, what, checkpoint: None, .. } = error.unwrap_err()
    else {
        panic!("expected divergence at step 2")
    };
    // Ten times ln(48), which is less than the loss of the first step here.
    assert!(loss > 38.7 && what.starts_with("the loss is above "), "{loss}: {what}");

    let unlimited = TrainParams { loss_ceiling: None, ..params };
    let report = train(llama(DType::F32).as_mut(), unlimited, &data());
    assert!(report.losses[1] > 38.7);
}
