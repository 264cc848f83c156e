//! Adapters that PEFT made, and adapters that PEFT reads.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tamis_finetune::{Job, Lora, LoraParams, Steps, TrainParams};
use tamis_model::{CausalLm, DType, Tap};
use tch::{Kind, Tensor};

use crate::common::{Data, base, fixture};

fn logits(model: &dyn CausalLm, ids: &Tensor, tap: &mut dyn Tap) -> Tensor {
    tch::no_grad(|| model.logits(&model.hidden(ids, tap).unwrap(), tap).unwrap())
}

fn tensor(path: &Path, name: &str) -> Tensor {
    let tensors = Tensor::read_safetensors(path).unwrap();
    tensors.into_iter().find(|(found, _)| found == name).unwrap().1
}

#[test]
fn adapters_of_peft_give_its_logits() {
    for (name, scale) in [("llama", 1.5), ("gpt2", 5.0 / 3f64.sqrt())] {
        let model = base(name, DType::F32);
        let dir = fixture(&format!("lora-{name}"));
        let lora = Lora::load(&dir, &*model).unwrap();
        assert!((lora.params().scale() - scale).abs() < 1e-12);
        let stored = dir.join("logits.safetensors");
        let (ids, expected) = (tensor(&stored, "ids"), tensor(&stored, "logits"));
        let off = (logits(&*model, &ids, &mut lora.tap()) - expected).abs().max().double_value(&[]);
        assert!(off < 1e-4, "{name}: {off:e}");
    }
}

#[test]
fn an_export_is_read_back_bit_for_bit_with_its_settings() {
    for name in ["llama", "gpt2"] {
        let model = base(name, DType::F32);
        let lora = Lora::load(fixture(&format!("lora-{name}")), &*model).unwrap();
        let out = tempfile::tempdir().unwrap();
        lora.save_pretrained(&*model, fixture(name), out.path()).unwrap();
        let again = Lora::load(out.path(), &*model).unwrap();
        assert_eq!(lora.fingerprint().unwrap(), again.fingerprint().unwrap());
        assert_eq!(json!(lora.params()), json!(again.params()));

        let read = |dir: &Path| -> Value {
            serde_json::from_slice(&fs::read(dir.join("adapter_config.json")).unwrap()).unwrap()
        };
        let (ours, theirs) = (read(out.path()), read(&fixture(&format!("lora-{name}"))));
        for (field, value) in ours.as_object().unwrap() {
            // PEFT may be told names in more than one way.
            if !["base_model_name_or_path", "target_modules"].contains(&field.as_str()) {
                assert_eq!(value, &theirs[field], "{name}: {field}");
            }
        }
        // Short names where they say it all; GPT-2 has two layers called `c_proj`.
        let expected = match name {
            "llama" => json!(["down_proj", "q_proj", "v_proj"]),
            _ => json!(["transformer.h.0.attn.c_attn", "transformer.h.0.mlp.c_proj"]),
        };
        assert_eq!(ours["target_modules"], expected);
    }
}

#[test]
fn five_steps_equal_those_of_peft() {
    let text = fs::read(fixture("lora.json")).unwrap();
    let run: Value = serde_json::from_slice(&text).unwrap();
    let settings: TrainParams = serde_json::from_value(run["settings"].clone()).unwrap();
    let mut model = base("llama", DType::F32);
    let mut lora = Lora::load(fixture("lora-llama"), &*model).unwrap();
    let data = Data::read().seen_as_recorded(settings.seed);
    let mut records = Steps::default();
    let trainer = TrainParams { token_budget: 40, ..settings }.check().unwrap();
    let rows = tamis_dataset::Encodings::of(&data);
    let job = Job { lora: Some(&mut lora), ..Job::new(model.as_mut(), &rows) };
    trainer.run(job, &mut records).unwrap();

    let steps = run["steps"].as_array().unwrap();
    assert_eq!((records.len(), steps.len()), (5, 5));
    assert!(records.iter().any(|record| record.micro_batches > 1));
    for (record, step) in records.iter().zip(steps) {
        let of = |field: &str| step[field].as_f64().unwrap();
        assert!((record.loss - of("loss")).abs() < 1e-5, "{record:?}");
        assert!((record.grad_norm / of("grad_norm") - 1.0).abs() < 1e-5, "{record:?}");
        assert!((record.learning_rate - of("learning_rate")).abs() < 1e-12, "{record:?}");
    }
    let (expected, start) = (fixture("lora-trained.safetensors"), fixture("lora-llama"));
    let start = Lora::load(start, &*model).unwrap();
    let mut moved = 0f64;
    for ((name, found), (_, before)) in lora.parameters().zip(start.parameters()) {
        let distance = |other: &Tensor| (found - other).abs().max().double_value(&[]);
        let off = distance(&tensor(&expected, &name));
        assert!(off < 1e-5, "{name}: {off:e}");
        moved = moved.max(distance(before));
    }
    assert!(moved > 5e-3, "the test would mean little if the adapter had hardly moved: {moved}");
}

type Tensors = Vec<(String, Tensor)>;

/// A copy of PEFT's adapter with a changed configuration or changed tensors.
fn damaged(change: impl FnOnce(&mut Value), tensors: impl FnOnce(&mut Tensors)) -> String {
    let (from, to) = (fixture("lora-llama"), tempfile::tempdir().unwrap());
    let path = to.path().join("adapter_config.json");
    let mut config: Value =
        serde_json::from_slice(&fs::read(from.join("adapter_config.json")).unwrap()).unwrap();
    change(&mut config);
    fs::write(path, config.to_string()).unwrap();
    let mut all = Tensor::read_safetensors(from.join("adapter_model.safetensors")).unwrap();
    tensors(&mut all);
    Tensor::write_safetensors(&all, to.path().join("adapter_model.safetensors")).unwrap();
    Lora::load(to.path(), &*base("llama", DType::F32)).unwrap_err().to_string()
}

#[test]
fn adapters_of_other_kinds_and_broken_ones_are_refused_by_name() {
    let config = |field: &str, value: Value| {
        let message = damaged(|config| config[field] = value, |_| {});
        assert!(message.contains("adapter_config.json") && message.contains(field), "{message}");
        message
    };
    config("peft_type", json!("LOHA"));
    config("use_dora", json!(true));
    config("bias", json!("all"));
    config("modules_to_save", json!(["lm_head"]));
    config("rank_pattern", json!({"q_proj": 2}));
    config("init_lora_weights", json!("pissa"));
    config("lora_alpha", json!("six"));
    assert!(config("r", json!(0)).contains("`r` is 0, expected at least 1"));

    let tensors = |change: &dyn Fn(&mut Tensors)| damaged(|_| {}, change);
    let foreign = tensors(&|all| all[0].0 = "base_model.model.other.lora_A.weight".to_owned());
    assert!(
        foreign.contains("other.lora_A.weight") || foreign.contains("only one of"),
        "{foreign}"
    );
    let shape = tensors(&|all| all[1].1 = all[1].1.narrow(0, 0, 1).contiguous());
    assert!(shape.contains("expected ["), "{shape}");
    let value = tensors(&|all| {
        let _ = all[2].1.get(0).fill_(f64::NAN);
    });
    assert!(value.contains("not finite"), "{value}");
    let lone = tensors(&|all| drop(all.remove(0)));
    assert!(lone.contains("only one of the two matrices"), "{lone}");

    let dir = tempfile::tempdir().unwrap();
    let missing = Lora::load(dir.path(), &*base("llama", DType::F32)).unwrap_err().to_string();
    assert!(missing.contains("adapter_config.json"), "{missing}");
}

/// Writes adapters for PEFT to read; the other half of the check is a script:
///
/// ```text
/// TAMIS_PEFT_OUT=$PWD/target/peft cargo test -p tamis-finetune --test it exports_for_peft -- --ignored
/// python crates/finetune/tests/fixtures/make_lora.py check target/peft
/// ```
#[test]
#[ignore = "writes files for `make_lora.py check`"]
fn exports_for_peft() {
    let out = std::env::var_os("TAMIS_PEFT_OUT").expect("TAMIS_PEFT_OUT names a folder");
    for (name, target) in [("llama", "q_proj|mlp"), ("gpt2", "attn")] {
        let mut model = base(name, DType::F32);
        let params =
            LoraParams { target: target.parse().unwrap(), rank: 5, ..LoraParams::default() };
        let mut lora = Lora::new(params, &*model).unwrap();
        let mut data = Data::read().encoded();
        for sample in &mut data {
            sample.ids.iter_mut().for_each(|id| *id %= 40);
            sample.ids.truncate(24);
            sample.supervised.truncate(24);
        }
        let trainer = TrainParams { epochs: 10, learning_rate: 2e-2, ..TrainParams::default() };
        let rows = tamis_dataset::Encodings::of(&data);
        let job = Job { lora: Some(&mut lora), ..Job::new(model.as_mut(), &rows) };
        trainer.check().unwrap().run(job, &mut tamis_artifact::NoProgress).unwrap();
        let dir = Path::new(&out).join(name);
        lora.save_pretrained(&*model, fixture(name), &dir).unwrap();
        let ids = Tensor::arange(18, (Kind::Int64, tch::Device::Cpu)).view([2, 9]) + 2;
        let logits = logits(&*model, &ids, &mut lora.tap());
        let stored = [("ids", ids.to_kind(Kind::Int)), ("logits", logits)];
        Tensor::write_safetensors(&stored, dir.join("logits.safetensors")).unwrap();
    }
}
