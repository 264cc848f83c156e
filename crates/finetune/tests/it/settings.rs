//! Settings: their checks, the schedules, the order of the samples.

use proptest::prelude::*;
use tamis_artifact::ParameterError;
use tamis_finetune::{FinetuneError, Schedule, TrainParams, epoch_order, warmup_steps};

/// The name of the parameter that is refused after `change`.
fn refused(change: impl FnOnce(&mut TrainParams)) -> &'static str {
    let mut params = TrainParams::default();
    change(&mut params);
    match params.check() {
        Err(FinetuneError::Parameter(ParameterError { name, .. })) => name,
        other => panic!("expected a refused parameter, got {other:?}"),
    }
}

#[test]
fn the_defaults_are_accepted() {
    let trainer = TrainParams::default().check().unwrap();
    assert_eq!(trainer.params(), &TrainParams::default());
    // 130 samples in batches of 64 are three steps; three epochs.
    assert_eq!(trainer.steps(130), 9);
}

#[test]
fn settings_outside_their_range_are_refused_by_name() {
    assert_eq!(refused(|p| p.epochs = 0), "epochs");
    assert_eq!(refused(|p| p.batch_size = 0), "batch_size");
    assert_eq!(refused(|p| p.token_budget = 0), "token_budget");
    for bad in [0.0, -1e-4, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(|p| p.learning_rate = bad), "learning_rate");
        assert_eq!(refused(|p| p.max_grad_norm = Some(bad)), "max_grad_norm");
        assert_eq!(refused(|p| p.eps = bad), "eps");
    }
    for bad in [-0.01, 1.01, f64::NAN] {
        assert_eq!(refused(|p| p.warmup_ratio = bad), "warmup_ratio");
    }
    for bad in [-0.1, 1.0, f64::NAN] {
        assert_eq!(refused(|p| p.betas.0 = bad), "betas.0");
        assert_eq!(refused(|p| p.betas.1 = bad), "betas.1");
    }
    for bad in [-0.1, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(|p| p.weight_decay = bad), "weight_decay");
    }
    for bad in [0.9, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(|p| p.loss_ceiling = Some(bad)), "loss_ceiling");
    }
}

/// Records of runs made before a setting existed stay equal to those of now.
#[test]
fn later_settings_are_written_only_where_they_change_something() {
    let fields = |params: &TrainParams| match serde_json::to_value(params).unwrap() {
        serde_json::Value::Object(fields) => fields.keys().cloned().collect::<Vec<_>>(),
        other => panic!("{other}"),
    };
    let first = [
        "epochs",
        "learning_rate",
        "batch_size",
        "token_budget",
        "warmup_ratio",
        "schedule",
        "betas",
        "eps",
        "weight_decay",
        "decay",
        "max_grad_norm",
        "seed",
    ];
    assert_eq!(fields(&TrainParams::default()), first);
    let changed = TrainParams {
        loss_ceiling: None,
        activation_checkpointing: true,
        ..TrainParams::default()
    };
    assert_eq!(fields(&changed)[first.len()..], ["loss_ceiling", "activation_checkpointing"]);
    let again: TrainParams =
        serde_json::from_str(&serde_json::to_string(&changed).unwrap()).unwrap();
    assert_eq!(again, changed);
}

#[test]
fn a_refusal_says_what_was_found_and_what_was_expected() {
    let error = TrainParams { learning_rate: -2.0, ..TrainParams::default() }.check().unwrap_err();
    assert_eq!(error.to_string(), "`learning_rate` is -2, expected a finite number above 0");
}

#[test]
fn settings_can_be_read_from_a_partial_file_and_misspelt_ones_are_refused() {
    let text = r#"{"epochs": 2, "schedule": "cosine", "decay": "all", "max_grad_norm": null}"#;
    let params: TrainParams = serde_json::from_str(text).unwrap();
    assert_eq!((params.epochs, params.schedule), (2, Schedule::Cosine));
    assert_eq!(params.max_grad_norm, None);
    assert_eq!(params.batch_size, TrainParams::default().batch_size);
    let written = serde_json::to_string(&params).unwrap();
    assert_eq!(serde_json::from_str::<TrainParams>(&written).unwrap(), params);
    assert!(serde_json::from_str::<TrainParams>(r#"{"epoch": 2}"#).is_err());
}

/// Published formulas of `get_linear_schedule_with_warmup` and its cosine sister, written the way
/// they are published (with the number of half waves and nested maxima).
fn published(schedule: Schedule, step: f64, warmup: f64, steps: f64) -> f64 {
    if step < warmup {
        return step / warmup.max(1.0);
    }
    match schedule {
        Schedule::Linear => ((steps - step) / (steps - warmup).max(1.0)).max(0.0),
        Schedule::Constant => 1.0,
        Schedule::Cosine => {
            let progress = (step - warmup) / (steps - warmup).max(1.0);
            (0.5 * (1.0 + (std::f64::consts::PI * 0.5 * 2.0 * progress).cos())).max(0.0)
        }
    }
}

#[test]
fn schedules_have_known_values() {
    let linear: Vec<f64> = (0..6).map(|k| Schedule::Linear.factor(k, 2, 6)).collect();
    assert_eq!(linear, [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]);
    assert_eq!(Schedule::Constant.factor(5, 2, 6).to_bits(), 1f64.to_bits());
    assert!((Schedule::Cosine.factor(4, 2, 6) - 0.5).abs() < 1e-15);
    // Past the end the rate stays where it is instead of rising again.
    assert!(Schedule::Cosine.factor(99, 2, 6).abs() < 1e-15);
    assert!(Schedule::Linear.factor(99, 2, 6).abs() < 1e-15);
}

#[test]
fn warm_up_is_rounded_up_but_leaves_a_step() {
    assert_eq!(warmup_steps(100, 0.03), 3);
    assert_eq!(warmup_steps(101, 0.03), 4);
    assert_eq!(warmup_steps(10, 0.0), 0);
    assert_eq!(warmup_steps(10, 1.0), 9);
    assert_eq!(warmup_steps(1, 0.03), 0);
    assert_eq!(warmup_steps(0, 0.5), 0);
}

#[test]
fn orders_are_pinned() {
    // Recorded once; another order would make runs with the same seed incomparable.
    let first = [16, 15, 7, 4, 2, 3, 13, 11, 12, 5, 0, 14, 9, 8, 10, 6, 17, 1];
    let second = [5, 11, 15, 13, 10, 4, 12, 7, 2, 1, 0, 17, 9, 14, 3, 8, 16, 6];
    assert_eq!(epoch_order(18, 7, 0), first);
    assert_eq!(epoch_order(18, 7, 1), second);
    assert_ne!(epoch_order(18, 8, 0), first);
    assert!(epoch_order(0, 7, 0).is_empty());
}

proptest! {
    #[test]
    fn schedules_follow_the_published_formulas(steps in 1usize..500, ratio in 0.0..1.0) {
        let warmup = warmup_steps(steps, ratio);
        for schedule in [Schedule::Linear, Schedule::Constant, Schedule::Cosine] {
            for step in 0..=steps {
                let expected = published(schedule, step as f64, warmup as f64, steps as f64);
                let factor = schedule.factor(step, warmup, steps);
                prop_assert!((factor - expected).abs() < 1e-12);
                prop_assert!((0.0..=1.0).contains(&factor));
            }
        }
    }

    #[test]
    fn an_order_is_a_permutation(len in 0usize..300, seed: u64, epoch in 0usize..5) {
        let mut order = epoch_order(len, seed, epoch);
        order.sort_unstable();
        prop_assert_eq!(order, (0..len).collect::<Vec<_>>());
    }
}
