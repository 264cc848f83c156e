//! A model folder as one thing, and its fingerprint.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tamis_artifact::Fingerprint;
use tamis_dataset::Template;
use tamis_model::{
    Adapter, CausalLm, DType, DeviceSpec, LayerId, LoadOptions, Model, ModelError, NoTap, Tap,
};
use tch::{Kind, TchError, Tensor, no_grad};

use crate::support::{FIXTURES, folder};

fn options(kind: DType) -> LoadOptions {
    LoadOptions { device: DeviceSpec::Cpu, kind, ..LoadOptions::default() }
}

fn open(dir: impl AsRef<Path>) -> Model {
    Model::open_with(dir, &options(DType::F32)).unwrap()
}

/// A copy of a fixture with a changed `config.json`.
fn changed(name: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Model {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    let path = dir.path().join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(config.as_object_mut().unwrap());
    fs::write(&path, config.to_string()).unwrap();
    open(dir.path())
}

/// The parts in which two fingerprints differ.
fn differ(a: &Fingerprint, b: &Fingerprint) -> Vec<String> {
    let (a, b) = (a.value().as_object().unwrap(), b.value().as_object().unwrap());
    let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
    names.filter(|name| a.get(*name) != b.get(*name)).cloned().collect()
}

#[test]
fn what_does_not_matter_leaves_the_fingerprint_as_it_is() {
    for name in FIXTURES {
        let plain = open(folder(name));
        let fingerprint = plain.fingerprint().unwrap();
        let cosmetic = changed(name, |config| {
            for (key, value) in [
                ("_name_or_path", json!("elsewhere")),
                ("transformers_version", json!("9.9")),
                ("torch_dtype", json!("bfloat16")),
                ("dtype", json!("bfloat16")),
                ("use_cache", json!(false)),
                ("note", json!({ "of": ["mine"] })),
            ] {
                config.insert(key.to_owned(), value);
            }
            config.sort_keys();
        });
        assert_eq!(cosmetic.fingerprint().unwrap(), fingerprint, "{name}");
        // Saved and loaded again.
        let dir = tempfile::tempdir().unwrap();
        plain.save_pretrained(dir.path()).unwrap();
        assert_eq!(open(dir.path()).fingerprint().unwrap(), fingerprint, "{name}");
        // It holds nothing of the place it was read from.
        let text = fingerprint.to_string();
        assert!(!text.contains(folder(name).to_str().unwrap()), "{text}");
    }
}

#[test]
fn every_setting_that_is_computed_with_changes_it() {
    let decoder = [
        ("rms_norm_eps", json!(3e-4)),
        ("rope_theta", json!(777.0)),
        ("rope_scaling", json!({ "rope_type": "linear", "factor": 2.0 })),
        ("hidden_act", json!("relu")),
        ("max_position_embeddings", json!(7)), // shorter than any window
    ];
    let gpt2 = [
        ("layer_norm_epsilon", json!(3e-4)),
        ("activation_function", json!("relu")),
        ("n_head", json!(1)),
    ];
    for (name, settings) in
        [("llama", &decoder[..]), ("mistral", &decoder[..]), ("gpt2", &gpt2[..])]
    {
        let plain = open(folder(name)).fingerprint().unwrap();
        for (key, value) in settings {
            let other = changed(name, |config| {
                if let (true, Some(rope)) =
                    (key.starts_with("rope"), config.get_mut("rope_parameters"))
                {
                    let rope = rope.as_object_mut().unwrap();
                    match value.as_object() {
                        Some(scaling) => rope.extend(scaling.clone()),
                        None => drop(rope.insert((*key).to_owned(), value.clone())),
                    }
                } else {
                    config.insert((*key).to_owned(), value.clone());
                }
            });
            assert_eq!(differ(&plain, &other.fingerprint().unwrap()), ["config"], "{name} {key}");
        }
    }
    // What computes differently is told apart as well.
    let llama = open(folder("llama")).fingerprint().unwrap();
    let double = Model::open_with(folder("llama"), &options(DType::F64)).unwrap();
    assert_eq!(differ(&llama, &double.fingerprint().unwrap()), ["dtype", "weights"]);
}

#[test]
fn every_weight_changes_it_and_undoing_that_brings_it_back() {
    for name in ["llama-tied", "gpt2", "baichuan2"] {
        let model = open(folder(name));
        let first = model.fingerprint().unwrap();
        for (weight, tensor) in model.parameters().iter() {
            let kept = tensor.copy();
            let mut last = tensor.view([-1]).narrow(0, tensor.numel() as i64 - 1, 1);
            let _ = no_grad(|| last.f_add_scalar_(1e-3).unwrap());
            // Through a handle that the model knows nothing of, and yet not the fingerprint from before.
            let other = model.fingerprint().unwrap();
            assert_eq!(differ(&first, &other), ["weights"], "{name} {weight}");
            no_grad(|| tensor.shallow_clone().copy_(&kept));
            assert_eq!(model.fingerprint().unwrap(), first, "{name} {weight}");
        }
    }
    // Detached handles, as optimizers use them, count too.
    let mut model = open(folder("llama"));
    let first = model.fingerprint().unwrap();
    let snapshot = model.parameters().snapshot().unwrap();
    let _ = model.parameters().get("model.norm.weight").unwrap().detach().fill_(0.5);
    assert_ne!(model.fingerprint().unwrap(), first);
    model.lm_mut().parameters().copy_from(&snapshot).unwrap();
    assert_eq!(model.fingerprint().unwrap(), first);
}

/// Doubles what the first layer gives.
struct Doubling(f64);

impl Tap for Doubling {
    fn linear(&mut self, layer: LayerId, _: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        if layer == LayerId(0) { y.f_mul_scalar(self.0) } else { Ok(y) }
    }
}

impl Adapter for Doubling {
    fn tap(&self) -> Box<dyn Tap + '_> {
        Box::new(Doubling(self.0))
    }

    fn fingerprint(&self) -> Result<Fingerprint, ModelError> {
        Ok(json!({ "factor": self.0 }).into())
    }
}

#[test]
fn an_adapter_is_in_every_pass_and_in_the_fingerprint() {
    let mut model = open(folder("llama"));
    let ids = Tensor::from_slice(&[0i64, 17, 36, 48]).view([1, 4]);
    let pass = |model: &dyn CausalLm, tap: &mut dyn Tap| {
        let hidden = no_grad(|| model.hidden(&ids, tap)).unwrap();
        no_grad(|| model.logits(&hidden, tap)).unwrap()
    };
    let apart = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
    let (plain, fingerprint) = (pass(&model, &mut NoTap), model.fingerprint().unwrap());
    let tapped = pass(&model, &mut Doubling(2.0));
    model.attach(Doubling(2.0));
    let adapted = pass(&model, &mut NoTap);
    assert!(apart(&adapted, &tapped) == 0.0 && apart(&adapted, &plain) > 1e-4);
    let two = model.fingerprint().unwrap();
    assert_eq!(differ(&fingerprint, &two), ["adapter"]);
    model.attach(Doubling(3.0));
    assert_eq!(differ(&two, &model.fingerprint().unwrap()), ["adapter"]);
    assert!(model.detach().is_some());
    assert_eq!(model.fingerprint().unwrap(), fingerprint);
    assert_eq!(pass(&model, &mut NoTap).kind(), Kind::Float);
}

#[test]
fn a_folder_opens_as_a_whole() {
    let model = open(folder("llama"));
    let options = model.encode_options();
    assert_eq!(options.max_length, model.shape().max_positions.min(1024));
    let encoder = model.encoder(Template::None, options).unwrap();
    assert_eq!(encoder.tokenizer().fingerprint(), model.tokenizer().unwrap().fingerprint());
    assert_eq!(model.dir(), folder("llama"));
    assert_eq!(model.config()["model_type"], "llama");
    assert!(model.ends().unwrap().contains(&encoder.tokenizer().eos_id().unwrap()));

    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors"] {
        fs::copy(folder("llama").join(name), dir.path().join(name)).unwrap();
    }
    let bare = open(dir.path());
    let ids = Tensor::from_slice(&[0i64, 17]).view([1, 2]);
    let _ = bare.hidden(&ids, &mut NoTap).unwrap();
    let error = bare.tokenizer().unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
    fs::write(dir.path().join("tokenizer.json"), "{").unwrap();
    let error = Model::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("tokenizer.json"), "{error}");
    fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    fs::write(dir.path().join("adapter_config.json"), "{}").unwrap();
    let error = Model::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("adapter"), "{error}");
}
