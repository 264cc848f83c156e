//! Weights written, read back, copied and recognised.

use std::{collections::HashMap, fs};

use serde_json::Value;
use tamis_model::{Attention, DType, load};
use tch::Tensor;
use tempfile::TempDir;

use crate::support::{FIXTURES, folder, model, options};

/// Every tensor of a folder, from all its shards.
fn tensors(dir: &std::path::Path) -> HashMap<String, Tensor> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let shards = files.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("model") && name.ends_with(".safetensors")
    });
    shards.flat_map(|path| Tensor::read_safetensors(path).unwrap()).collect()
}

#[test]
fn saved_and_loaded_is_bit_identical() {
    for name in FIXTURES {
        // The sharded one is stored in bf16; in that kind, nothing may change.
        let kind = if name == "llama-sharded" { DType::Bf16 } else { DType::F32 };
        let model = model(name, kind);
        let out = TempDir::new().unwrap();
        let dir = out.path().join("made/on/the/way");
        model.parameters().save_pretrained(folder(name), &dir).unwrap();
        let again = load(&dir, &options(kind, Attention::Fused)).unwrap();
        assert_eq!(
            model.parameters().fingerprint().unwrap(),
            again.parameters().fingerprint().unwrap(),
            "{name}"
        );
        // Against the files themselves: names, shapes (GPT-2's transposed ones too), kinds, values.
        let (original, saved) = (tensors(&folder(name)), tensors(&dir));
        assert_eq!(original.len(), saved.len(), "{name}");
        for (tensor, value) in &original {
            assert_eq!(saved[tensor].kind(), value.kind(), "{name} {tensor}");
            assert!(saved[tensor].equal(value), "{name} {tensor}");
        }
        for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
            let read = |dir: &std::path::Path| fs::read(dir.join(file)).unwrap();
            assert_eq!(read(&folder(name)), read(&dir), "{name} {file}");
        }
        assert!(!dir.join("expected.safetensors").exists(), "only what belongs to a model");
        let mut left = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path());
        assert!(left.all(|file| file.extension().is_none_or(|end| end != "tmp")));
    }
}

#[test]
fn the_written_configuration_names_the_kind() {
    for (name, field) in [("llama", "dtype"), ("llama-tied", "torch_dtype")] {
        let out = TempDir::new().unwrap();
        model(name, DType::Bf16).parameters().save_pretrained(folder(name), &out).unwrap();
        let read = |dir: &std::path::Path| -> Value {
            serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap()
        };
        let (mut original, mut saved) = (read(&folder(name)), read(out.path()));
        assert_eq!(saved[field], "bfloat16");
        original[field].take();
        saved[field].take();
        assert_eq!(original, saved, "nothing else may change");
    }
}

#[test]
fn snapshots_bring_weights_back() {
    let model = model("gpt2", DType::F32);
    let parameters = model.parameters();
    let scalars: usize = parameters.iter().map(|(_, tensor)| tensor.numel()).sum();
    assert_eq!(parameters.count(), scalars);
    let before = parameters.fingerprint().unwrap();
    let snapshot = parameters.snapshot().unwrap();
    assert_eq!(snapshot.fingerprint().unwrap(), before);
    tch::no_grad(|| {
        let weight = parameters.get("transformer.h.1.mlp.c_fc.weight").unwrap();
        let _ = weight.get(0).get(0).shallow_clone().fill_(1.25);
    });
    assert_ne!(parameters.fingerprint().unwrap(), before, "one scalar is enough");
    assert_eq!(snapshot.fingerprint().unwrap(), before, "a snapshot has its own memory");
    parameters.copy_from(&snapshot).unwrap();
    assert_eq!(parameters.fingerprint().unwrap(), before);

    let other = crate::support::model("llama", DType::F32);
    let problem = parameters.copy_from(other.parameters()).unwrap_err().to_string();
    assert!(problem.contains("tensors here"), "{problem}");
    assert_eq!(parameters.fingerprint().unwrap(), before);
}

#[test]
fn a_failed_save_leaves_the_old_weights() {
    let model = model("llama", DType::F32);
    let out = TempDir::new().unwrap();
    model.parameters().save_pretrained(folder("llama"), &out).unwrap();
    let weights = out.path().join("model.safetensors");
    let before = fs::read(&weights).unwrap();
    // A folder where the temporary file should go.
    fs::create_dir(out.path().join(".model.safetensors.tmp")).unwrap();
    let problem = model.parameters().save_pretrained(folder("llama"), &out).unwrap_err();
    assert!(
        problem.to_string().contains("cannot write")
            && problem.to_string().contains("model.safetensors"),
        "{problem}"
    );
    assert_eq!(fs::read(&weights).unwrap(), before);
}
