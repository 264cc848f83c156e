//! Evaluation on held-out data, early stopping, and keeping the best weights.

use serde::Deserialize;
use serde_json::Value;
use tamis_artifact::{NoProgress, ParameterError, Progress, Stage};
use tamis_dataset::{Encoded, Encodings};
use tamis_finetune::{
    EvalParams, EvalRecord, FinetuneError, Job, StepRecord, TrainParams, TrainReport, evaluate,
};
use tamis_model::{CausalLm, DType, NoTap, Reduction, per_sample_loss};
use tch::Kind;

use crate::common::{data, llama, settings, weights};

/// Samples to train on, and others whose targets are of another kind, so that learning the first
/// by heart harms the second.
fn split() -> (Vec<Encoded>, Vec<Encoded>) {
    let mut data = data();
    let held_out = data.split_off(12);
    (data, held_out)
}

fn run(
    model: &mut dyn CausalLm,
    params: TrainParams,
    how: EvalParams,
    observer: &mut dyn Progress,
) -> TrainReport {
    let (data, held_out) = split();
    let (data, held_out) = (Encodings::of(&data), Encodings::of(&held_out));
    let job = Job { validation: Some((&held_out, how)), ..Job::new(model, &data) };
    params.check().unwrap().run(job, observer).unwrap()
}

fn overfitting() -> TrainParams {
    TrainParams { epochs: 20, learning_rate: 1e-2, ..settings() }
}

#[test]
fn the_loss_is_the_mean_over_all_supervised_tokens() {
    let (model, data) = (llama(DType::F64), data());
    // One sample at a time, so nothing pads.
    let mut sum = 0.0;
    for sample in &data {
        let batch = tamis_model::Batch::new(&[sample], tch::Device::Cpu).unwrap();
        let loss = per_sample_loss(&*model, &batch, Reduction::Sum, &mut NoTap).unwrap();
        sum += loss.sum(Kind::Double).double_value(&[]);
    }
    let targets: usize = data.iter().map(Encoded::targets).sum();
    for token_budget in [1, 50, 10_000] {
        let found = evaluate(&*model, &Encodings::of(&data), token_budget, &mut NoTap).unwrap();
        assert_eq!(found.targets, targets);
        assert!((found.loss - sum / targets as f64).abs() < 1e-12, "{found:?}");
    }
    let error = evaluate(&*model, &Encodings::of(&[]), 64, &mut NoTap).unwrap_err();
    assert!(matches!(error, FinetuneError::NoData));
}

#[test]
fn evaluations_come_when_they_are_due_and_change_nothing() {
    #[derive(Default)]
    struct Watch(Vec<EvalRecord>, Vec<usize>);
    impl Progress for Watch {
        fn start(&mut self, _: &Stage<'_>) {}
        fn advance(&mut self, _: u64) {}
        fn record(&mut self, kind: &str, record: &Value) {
            if kind == "step" {
                self.1.push(StepRecord::deserialize(record).unwrap().step);
            } else if kind == "evaluation" {
                let record = EvalRecord::deserialize(record).unwrap();
                assert_eq!(record.step, self.1.len(), "an evaluation follows its step");
                self.0.push(record);
            }
        }
    }
    let steps = |every| {
        let mut watch = Watch::default();
        let how = EvalParams { every, keep_best: false, ..EvalParams::default() };
        let mut model = llama(DType::F32);
        let report = run(model.as_mut(), settings(), how, &mut watch);
        assert_eq!(report.evaluations, watch.0);
        assert_eq!((report.restored, report.stopped_early), (None, false));
        (watch.0.iter().map(|record| record.step).collect::<Vec<_>>(), weights(&*model))
    };
    let (epochs, first) = steps(None);
    let (often, second) = steps(Some(4));
    assert_eq!((epochs, often), (vec![0, 3, 6], vec![0, 4, 6]));
    let mut plain = llama(DType::F32);
    settings()
        .check()
        .unwrap()
        .train(plain.as_mut(), &Encodings::of(&split().0), &mut NoProgress)
        .unwrap();
    assert!(first == second && first == weights(&*plain));
}

#[test]
fn the_best_weights_are_kept_and_training_stops_when_it_harms() {
    let how = EvalParams { patience: Some(3), ..EvalParams::default() };
    let mut model = llama(DType::F32);
    let report = run(model.as_mut(), overfitting(), how, &mut NoProgress);
    let lowest = report.evaluations.iter().map(|record| record.loss).fold(f64::INFINITY, f64::min);
    let best = report.evaluations.iter().rposition(|record| record.best).unwrap();
    assert!((report.evaluations[best].loss - lowest).abs() <= 0.0);
    assert!(report.stopped_early, "{:?}", report.evaluations);
    assert_eq!(report.evaluations.len(), best + 1 + 3);
    assert_eq!(report.restored, Some(report.evaluations[best].step));
    assert_eq!(report.steps, report.evaluations.last().unwrap().step);
    // The model has the weights of that evaluation.
    let found =
        evaluate(&*model, &Encodings::of(&split().1), settings().token_budget, &mut NoTap).unwrap();
    assert!((found.loss - lowest).abs() <= 0.0, "{} {lowest}", found.loss);

    let last = EvalParams { keep_best: false, ..how };
    let mut model = llama(DType::F32);
    let report = run(model.as_mut(), overfitting(), last, &mut NoProgress);
    let found =
        evaluate(&*model, &Encodings::of(&split().1), settings().token_budget, &mut NoTap).unwrap();
    assert_eq!(report.restored, None);
    assert!((found.loss - report.evaluations.last().unwrap().loss).abs() <= 0.0);
    assert!(found.loss > lowest);
}

#[test]
fn where_nothing_helps_the_weights_are_those_it_started_with() {
    // A model that knows the held-out samples by heart can only lose.
    let mut model = llama(DType::F32);
    let by_heart = TrainParams { epochs: 40, learning_rate: 1e-2, ..settings() };
    by_heart
        .check()
        .unwrap()
        .train(model.as_mut(), &Encodings::of(&split().1), &mut NoProgress)
        .unwrap();
    let before = model.parameters().fingerprint().unwrap();
    let report = run(model.as_mut(), settings(), EvalParams::default(), &mut NoProgress);
    assert_eq!(report.restored, Some(0));
    assert_eq!(model.parameters().fingerprint().unwrap(), before);
}

#[test]
fn bad_settings_and_bad_held_out_data_are_refused() {
    let (data, held_out) = split();
    let mut model = llama(DType::F32);
    let mut refused = |how: EvalParams, held_out: &[Encoded]| {
        let (data, held_out) = (Encodings::of(&data), Encodings::of(held_out));
        let job = Job { validation: Some((&held_out, how)), ..Job::new(model.as_mut(), &data) };
        settings().check().unwrap().run(job, &mut NoProgress).unwrap_err()
    };
    let default = EvalParams::default();
    for (how, expected) in [
        (EvalParams { every: Some(0), ..default }, "evaluation.every"),
        (EvalParams { patience: Some(0), ..default }, "evaluation.patience"),
        (EvalParams { min_delta: -1.0, ..default }, "evaluation.min_delta"),
    ] {
        let FinetuneError::Parameter(ParameterError { name, .. }) = refused(how, &held_out) else {
            panic!("{expected} was not refused")
        };
        assert_eq!(name, expected);
    }
    let mut foreign = held_out.clone();
    foreign[0].ids[0] = 64;
    assert!(matches!(refused(default, &foreign), FinetuneError::Sample { .. }));
    let mut long = held_out.clone();
    long.truncate(1);
    long[0].ids = vec![1; 40];
    long[0].supervised = vec![true; 40];
    assert!(matches!(refused(default, &long), FinetuneError::NothingUsable { rows: 1, .. }));
    assert!(matches!(refused(default, &[]), FinetuneError::NoData));
}
