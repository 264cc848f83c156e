//! Model folders that are wrong.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pools;
use crate::program::{Gdig, copy_folder, model};

/// A copy of the model with a changed config.json.
pub(crate) fn model_with(folder: &Path, name: &str, change: impl Fn(&mut Value)) -> PathBuf {
    let dir = folder.join(name);
    copy_folder(&model(), &dir);
    change_json(&dir.join("config.json"), change);
    dir
}

fn change_json(path: &Path, change: impl Fn(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, serde_json::to_vec(&value).unwrap()).unwrap();
}

/// Good data and a copy of the model, to be spoilt.
fn spoilable() -> (TempDir, PathBuf, Gdig) {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let model = model_with(folder.path(), "model", |_| ());
    let gdig = Gdig::new(&pool, &seeds, &folder.path().join("out")).path("model", &model);
    (folder, model, gdig)
}

/// Where the values of a tensor begin in a safetensors file.
fn tensor_offset(bytes: &[u8], name: &str) -> usize {
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let json: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    8 + header + json[name]["data_offsets"][0].as_u64().unwrap() as usize
}

#[test]
fn files_that_are_missing() {
    let (folder, model, gdig) = spoilable();
    let nowhere = folder.path().join("nowhere");
    gdig.clone().path("model", &nowhere).refuse(&[nowhere.to_str().unwrap()]);
    for name in ["model.safetensors", "tokenizer.json", "config.json"] {
        let kept = fs::read(model.join(name)).unwrap();
        fs::remove_file(model.join(name)).unwrap();
        gdig.refuse(&[model.to_str().unwrap(), name]);
        fs::write(model.join(name), kept).unwrap();
    }
    assert!(!folder.path().join("out").exists(), "an output folder although nothing was begun");
}

#[test]
fn weights_that_are_cut_off_or_empty() {
    let (_folder, model, gdig) = spoilable();
    let path = model.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    for keep in [bytes.len() - 1, bytes.len() / 2, 100, 7, 0] {
        fs::write(&path, &bytes[..keep]).unwrap();
        gdig.refuse(&["model.safetensors", "damaged or incomplete"]);
    }
}

#[test]
fn a_weight_that_is_not_a_number() {
    let (_folder, model, gdig) = spoilable();
    let path = model.join("model.safetensors");
    let good = fs::read(&path).unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    for bad in [f32::NAN, f32::INFINITY] {
        let mut bytes = good.clone();
        let at = tensor_offset(&bytes, name) + 4 * 5;
        bytes[at..at + 4].copy_from_slice(&bad.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        gdig.refuse(&[name, "non-finite"]);
    }
}

#[test]
fn a_tokenizer_of_another_model() {
    let (_folder, model, gdig) = spoilable();
    change_json(&model.join("tokenizer.json"), |tokenizer| {
        let mut token = tokenizer["added_tokens"][0].clone();
        token["id"] = json!(70_000);
        token["content"] = json!("<far>");
        tokenizer["added_tokens"].as_array_mut().unwrap().push(token);
    });
    // Found before a row happens to have the token.
    gdig.refuse(&["tokenizer", "272"]);
}

#[test]
fn configurations_that_do_not_fit_the_weights() {
    let (folder, _, gdig) = spoilable();
    for (n, (field, value, parts)) in [
        ("model_type", json!("nonsense"), &["config.json", "nonsense"][..]),
        ("num_hidden_layers", json!(3), &["model.layers.2", "missing"]),
        ("num_hidden_layers", json!(1), &["model.layers.1"]),
        ("hidden_size", json!(64), &["shape"]),
        ("num_attention_heads", json!("four"), &["num_attention_heads"]),
        ("vocab_size", json!(100), &["272", "100"]),
    ]
    .into_iter()
    .enumerate()
    {
        let model = model_with(folder.path(), &n.to_string(), |c| c[field] = value.clone());
        gdig.clone().path("model", &model).refuse(parts);
    }
}

#[test]
fn a_tokenizer_that_is_not_json() {
    let (_folder, model, gdig) = spoilable();
    fs::write(model.join("tokenizer.json"), "{ \"version\": ").unwrap();
    gdig.refuse(&["tokenizer.json"]);
}
