//! Model folders, random batches, comparisons.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tamis_dataset::Encoded;
use tamis_model::{Attention, CausalLm, DType, DeviceSpec, LoadOptions, ModelError, load};
use tch::{Kind, Tensor};
use tempfile::TempDir;

/// Every folder that `make_fixtures.py` writes.
pub(crate) const FIXTURES: [&str; 7] =
    ["llama", "llama-tied", "llama-sharded", "mistral", "qwen2", "gpt2", "baichuan2"];
/// Tokens in the vocabulary of each.
pub(crate) const VOCAB: u32 = 272;

pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn options(kind: DType, attention: Attention) -> LoadOptions {
    LoadOptions { device: DeviceSpec::Cpu, kind, attention }
}

pub(crate) fn model(name: &str, kind: DType) -> Box<dyn CausalLm> {
    load(folder(name), &options(kind, Attention::Fused)).unwrap()
}

pub(crate) fn load_cpu(dir: &Path) -> Result<Box<dyn CausalLm>, ModelError> {
    load(dir, &options(DType::F32, Attention::Fused))
}

/// The message of the error that loading `dir` ends in.
pub(crate) fn refusal(dir: &Path) -> String {
    load_cpu(dir).err().unwrap().to_string()
}

/// A copy of a fixture to spoil.
pub(crate) fn copy(name: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    for entry in fs::read_dir(folder(name)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, dir.path().join(path.file_name().unwrap())).unwrap();
    }
    dir
}

/// A copy of a fixture with another configuration.
pub(crate) fn with_config(name: &str, change: impl FnOnce(&mut Value)) -> TempDir {
    let dir = copy(name);
    let path = dir.path().join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut config);
    fs::write(&path, config.to_string()).unwrap();
    dir
}

/// A copy of an unsharded fixture with other weights.
pub(crate) fn with_weights(name: &str, change: impl Fn(&mut Vec<(String, Tensor)>)) -> TempDir {
    let dir = copy(name);
    let path = dir.path().join("model.safetensors");
    let mut tensors = Tensor::read_safetensors(&path).unwrap();
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    change(&mut tensors);
    fs::remove_file(&path).unwrap();
    Tensor::write_safetensors(&tensors, &path).unwrap();
    dir
}

/// A sample whose tokens from `prompt` on are targets.
pub(crate) fn sample(index: usize, ids: Vec<u32>, prompt: usize) -> Encoded {
    let supervised = (0..ids.len()).map(|place| place >= prompt).collect();
    Encoded { id: format!("s{index}").as_str().into(), index, ids, supervised, truncated: false }
}

/// The largest absolute difference.
pub(crate) fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.size(), b.size());
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[])
}

/// The largest absolute value.
pub(crate) fn largest(a: &Tensor) -> f64 {
    a.to_kind(Kind::Double).abs().max().double_value(&[])
}

/// Token ids (rows, time) that are the same in every run.
pub(crate) fn some_ids(rows: i64, time: i64) -> Tensor {
    let ids: Vec<i64> = (0..rows * time).map(|n| (n * 37 + 11) % i64::from(VOCAB)).collect();
    Tensor::from_slice(&ids).view([rows, time])
}
