//! Adapters: what they are made of, what they change, and training them.

use std::collections::HashSet;

use tamis_artifact::{NoProgress, ParameterError};
use tamis_dataset::Encoded;
use tamis_finetune::{Adapted, FinetuneError, Job, Lora, LoraParams, TrainParams, TrainReport};
use tamis_model::{Batch, CausalLm, DType, LoadOptions, Model, NoTap, Tap, load, target_log_probs};
use tch::{Kind, Tensor};

use crate::common::{base, data, difference, fixture, llama, settings, weights};

fn params(target: &str) -> LoraParams {
    LoraParams { target: target.parse().unwrap(), rank: 4, alpha: 6.0, ..LoraParams::default() }
}

/// Gives `B` values, so that the adapter changes something.
fn stir(lora: &Lora) {
    for (name, tensor) in lora.parameters() {
        if name.ends_with("lora_B.weight") {
            let size = tensor.size();
            let wave = Tensor::arange(tensor.numel() as i64, (Kind::Double, tensor.device())).sin();
            tensor.shallow_clone().copy_(&(wave * 0.3).reshape(size));
        }
    }
}

fn log_probs(model: &dyn CausalLm, tap: &mut dyn Tap) -> Vec<f64> {
    let data = data();
    let batch = Batch::new(&data.iter().collect::<Vec<_>>(), model.shape().device).unwrap();
    let found = tch::no_grad(|| target_log_probs(model, &batch, tap).unwrap());
    found.to_kind(Kind::Double).try_into().unwrap()
}

fn largest(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Every matrix as f64.
fn matrices(lora: &Lora) -> Vec<(String, Vec<f64>)> {
    let values = |tensor: &Tensor| {
        Vec::try_from(tensor.detach().flatten(0, -1).to_kind(Kind::Double)).unwrap()
    };
    lora.parameters().map(|(name, tensor)| (name, values(tensor))).collect()
}

fn train(
    model: &mut dyn CausalLm,
    lora: &mut Lora,
    params: TrainParams,
    data: &[Encoded],
) -> TrainReport {
    let rows = tamis_dataset::Encodings::of(data);
    let job = Job { lora: Some(lora), ..Job::new(model, &rows) };
    params.check().unwrap().run(job, &mut NoProgress).unwrap()
}

#[test]
fn a_new_adapter_changes_nothing_and_its_first_values_follow_peft() {
    let model = llama(DType::F32);
    let lora = Lora::new(params("q_proj|up_proj"), &*model).unwrap();
    assert!(largest(&log_probs(&*model, &mut lora.tap()), &log_probs(&*model, &mut NoTap)) <= 0.0);
    let names: Vec<_> = lora.parameters().map(|(name, _)| name).collect();
    let prefix = "model.layers.0.self_attn.q_proj";
    assert_eq!(names[0], format!("{prefix}.lora_A.weight"));
    assert_eq!(names[1], format!("{prefix}.lora_B.weight"));
    assert_eq!((names.len(), lora.layers().count(), lora.count()), (8, 4, 2 * (128 + 160)));
    for (name, values) in matrices(&lora) {
        if name.ends_with("B.weight") {
            assert!(values.iter().all(|value| value.abs() <= 0.0));
        } else {
            // Kaiming-uniform with a = √5: √(6 / ((1 + 5) · 16)) = 1/4 for inputs of width 16.
            let (low, high) = values.iter().fold((0f64, 0f64), |(l, h), &v| (l.min(v), h.max(v)));
            assert!((-0.25..-0.2).contains(&low) && (0.2..0.25).contains(&high), "{name}");
            let square = values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64;
            assert!((square - 0.0625 / 3.0).abs() < 0.006, "{name}: {square}");
        }
    }
}

#[test]
fn first_values_belong_to_the_layer_and_not_to_its_company() {
    let model = llama(DType::F32);
    let all = matrices(&Lora::new(params("layers"), &*model).unwrap());
    let one = matrices(&Lora::new(params("layers.1.mlp.up_proj"), &*model).unwrap());
    assert_eq!(one.len(), 2);
    assert!(one.iter().all(|entry| all.contains(entry)));
    let seeded =
        |seed| matrices(&Lora::new(LoraParams { seed, ..params("layers") }, &*model).unwrap());
    assert_eq!(seeded(5), seeded(5));
    assert_ne!(seeded(5), seeded(6));
    let first = all.iter().filter(|(name, _)| name.ends_with("A.weight"));
    let distinct: HashSet<u64> = first.map(|(_, values)| values[0].to_bits()).collect();
    assert_eq!(distinct.len(), 14);
}

#[test]
fn merged_weights_compute_what_the_tap_does() {
    for (name, kind, limit) in
        [("llama", DType::F64, 1e-12), ("llama", DType::F32, 1e-4), ("gpt2", DType::F64, 1e-12)]
    {
        let mut model = base(name, kind);
        let lora = Lora::new(LoraParams { rslora: true, ..params("default") }, &*model).unwrap();
        stir(&lora);
        let plain = log_probs_of(&*model, &mut NoTap);
        let tapped = log_probs_of(&*model, &mut lora.tap());
        assert!(largest(&plain, &tapped) > 0.1);
        lora.merge(model.as_mut()).unwrap();
        let merged = log_probs_of(&*model, &mut NoTap);
        let off = largest(&merged, &tapped);
        assert!(off < limit, "{name} {kind}: {off:e}");
    }
}

/// Like [`log_probs`], of samples that any model of the fixtures can read.
fn log_probs_of(model: &dyn CausalLm, tap: &mut dyn Tap) -> Vec<f64> {
    let ids = Tensor::arange(24, (Kind::Int64, model.shape().device)).view([2, 12]) + 3;
    let hidden = model.hidden(&ids, tap).unwrap();
    let logits = model.logits(&hidden, tap).unwrap();
    logits.log_softmax(-1, Kind::Double).flatten(0, -1).try_into().unwrap()
}

#[test]
fn the_branch_is_the_formula() {
    let model = llama(DType::F64);
    let lora = Lora::new(params("layers.0.self_attn.q_proj"), &*model).unwrap();
    stir(&lora);
    let layer = model.layers().iter().find(|l| l.name.ends_with("0.self_attn.q_proj")).unwrap();
    let options = (Kind::Double, tch::Device::Cpu);
    let x = Tensor::arange(2 * 3 * 16, options).cos().view([2, 3, 16]);
    let y = lora.tap().linear(layer.id, &x, Tensor::zeros([2, 3, 16], options)).unwrap();
    let all = matrices(&lora);
    let (a, b) = (&all[0].1, &all[1].1);
    let x: Vec<f64> = x.flatten(0, -1).try_into().unwrap();
    let y: Vec<f64> = y.flatten(0, -1).try_into().unwrap();
    for row in 0..6 {
        for out in 0..16 {
            let mut expected = 0.0;
            for k in 0..4 {
                let low: f64 = (0..16).map(|i| a[k * 16 + i] * x[row * 16 + i]).sum();
                expected += 1.5 * b[out * 4 + k] * low;
            }
            assert!((y[row * 16 + out] - expected).abs() < 1e-12);
        }
    }
}

#[test]
fn training_changes_the_adapter_and_not_the_model() {
    let mut model = llama(DType::F32);
    let before = model.parameters().fingerprint().unwrap();
    let mut lora = Lora::new(params("default"), &*model).unwrap();
    let params = TrainParams { epochs: 20, learning_rate: 2e-2, ..settings() };
    let report = train(model.as_mut(), &mut lora, params, &data());
    assert_eq!(model.parameters().fingerprint().unwrap(), before);
    assert!(report.epochs[19].loss < 0.7 * report.epochs[0].loss, "{:?}", report.epochs);
    for (name, tensor) in lora.parameters() {
        assert!(!tensor.requires_grad() && !tensor.grad().defined(), "{name}");
    }
}

#[test]
fn dropout_is_of_training_alone_and_keyed() {
    let dropping = LoraParams { dropout: 0.3, ..params("default") };
    let trained = |lora: LoraParams, seed, token_budget| {
        let mut model = llama(DType::F32);
        let mut lora = Lora::new(lora, &*model).unwrap();
        let params = TrainParams { seed, token_budget, ..settings() };
        train(model.as_mut(), &mut lora, params, &data());
        (matrices(&lora), log_probs(&*model, &mut lora.tap()), log_probs(&*model, &mut lora.tap()))
    };
    let (first, logits, again) = trained(dropping.clone(), 3, 64);
    assert_eq!(logits, again, "a tap for use drops nothing");
    assert_eq!(first, trained(dropping.clone(), 3, 64).0);
    let (without, ..) = trained(LoraParams { dropout: 0.0, ..dropping }, 3, 64);
    assert!(difference(&first, &without).0 > 1e-3);
}

#[test]
fn micro_batching_does_not_change_an_adapter() {
    let trained = |token_budget| {
        let mut model = llama(DType::F64);
        let mut lora = Lora::new(params("default"), &*model).unwrap();
        train(model.as_mut(), &mut lora, TrainParams { token_budget, ..settings() }, &data());
        matrices(&lora)
    };
    let whole = trained(10_000);
    for token_budget in [1, 33, 64] {
        let (largest, at) = difference(&whole, &trained(token_budget));
        assert!(largest < 1e-6, "{token_budget}: {largest:e} in {at}");
    }
}

#[test]
fn adapters_are_f32_over_a_model_in_bf16() {
    let mut model = llama(DType::Bf16);
    let mut lora = Lora::new(params("default"), &*model).unwrap();
    assert!(lora.parameters().all(|(_, tensor)| tensor.kind() == Kind::Float));
    let params = TrainParams { epochs: 20, learning_rate: 2e-2, ..settings() };
    let report = train(model.as_mut(), &mut lora, params, &data());
    assert!(report.epochs[19].loss < 0.7 * report.epochs[0].loss, "{:?}", report.epochs);
    assert!(weights(&*model).iter().all(|(_, values)| values.iter().all(|v| v.is_finite())));
}

#[test]
fn layers_that_cannot_carry_one_and_bad_settings_are_refused() {
    let model = llama(DType::F32);
    let message = |lora: LoraParams| Lora::new(lora, &*model).unwrap_err().to_string();
    assert_eq!(
        message(params("lm_head")),
        "layer `lm_head` cannot carry an adapter: its weight is the embedding's (tied); choose a \
         pattern that spares it"
    );
    assert!(message(params("no_such_layer")).contains("no_such_layer"));
    let refused = |lora| match Lora::new(lora, &*model) {
        Err(FinetuneError::Parameter(ParameterError { name, .. })) => name,
        other => panic!("expected a refused parameter, got {other:?}"),
    };
    assert_eq!(refused(LoraParams { rank: 0, ..params("default") }), "lora.rank");
    assert_eq!(refused(LoraParams { alpha: 0.0, ..params("default") }), "lora.alpha");
    assert_eq!(refused(LoraParams { dropout: 1.0, ..params("default") }), "lora.dropout");
    // An untied head can carry one.
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures");
    for (name, carries) in [("llama", true), ("baichuan2", false)] {
        let model = load(format!("{fixtures}/{name}"), &LoadOptions::default()).unwrap();
        assert!(model.parameters().get("lm_head.weight").is_some(), "{name} must be untied");
        let found = Lora::new(params("lm_head"), &*model);
        assert_eq!(found.is_ok(), carries, "{name}: {:?}", found.err());
    }
}

#[test]
fn an_adapter_is_part_of_the_fingerprint_and_of_every_pass() {
    let mut model = Model::open_with(
        fixture("llama"),
        &LoadOptions { device: "cpu".parse().unwrap(), ..LoadOptions::default() },
    )
    .unwrap();
    let plain = model.fingerprint().unwrap();
    let new = |alpha: f64| {
        let params = LoraParams { alpha, ..params("q_proj|up_proj") };
        let lora = Lora::new(params, &*llama(DType::F32)).unwrap();
        tch::no_grad(|| stir(&lora));
        lora
    };
    let mut lora = new(6.0);
    let tapped = log_probs(&model, &mut lora.tap());
    let beside = Adapted::new(&mut model, &mut lora).fingerprint().unwrap();
    assert_eq!(beside.value()["weights"], plain.value()["weights"]);
    assert!(plain.value().get("adapter").is_none() && beside.value().get("adapter").is_some());

    // Attached, it is the same model.
    model.attach(lora);
    assert_eq!(model.fingerprint().unwrap(), beside);
    assert_eq!(log_probs(&model, &mut NoTap), tapped);
    // Another scale or another number in a matrix make another.
    model.attach(new(7.0));
    assert_ne!(model.fingerprint().unwrap(), beside);
    let other = new(6.0);
    let (_, matrix) = other.parameters().next().unwrap();
    let _ = tch::no_grad(|| matrix.shallow_clone().get(0).get(0).f_add_scalar_(0.5).unwrap());
    model.attach(other);
    assert_ne!(model.fingerprint().unwrap(), beside);
    model.attach(new(6.0));
    assert_eq!(model.fingerprint().unwrap(), beside);
}

#[test]
fn training_a_model_folder_is_seen_in_its_fingerprint() {
    let mut model = Model::open_with(
        fixture("llama"),
        &LoadOptions { device: "cpu".parse().unwrap(), ..LoadOptions::default() },
    )
    .unwrap();
    let before = model.fingerprint().unwrap();
    let data = data();
    let rows = tamis_dataset::Encodings::of(&data);
    let job = Job::new(&mut model, &rows);
    TrainParams { epochs: 1, ..settings() }.check().unwrap().run(job, &mut NoProgress).unwrap();
    let after = model.fingerprint().unwrap();
    assert_ne!(after, before);
    // What is kept beside the model is what a fresh look finds.
    assert_eq!(model.lm_mut().fingerprint().unwrap(), after);
}
