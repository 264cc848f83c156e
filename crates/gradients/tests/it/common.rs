//! Models and samples that the tests share.

use std::path::PathBuf;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_dataset::{Encoded, SampleId};
use tamis_model::{Attention, CausalLm, DType, DeviceSpec, LayerInfo, LoadOptions, load};
use tch::{Kind, Tensor};

pub(crate) const ARCHITECTURES: [&str; 5] = ["llama", "mistral", "qwen2", "gpt2", "baichuan2"];

pub(crate) fn fixture(name: &str, kind: DType) -> Box<dyn CausalLm> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(name);
    let options = LoadOptions { device: DeviceSpec::Cpu, kind, attention: Attention::Fused };
    load(dir, &options).unwrap()
}

/// Samples of 3 to `longest` tokens whose later part is supervised, with a gap in some.
pub(crate) fn samples(
    model: &dyn CausalLm,
    count: usize,
    longest: usize,
    seed: u64,
) -> Vec<Encoded> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let vocabulary = model.shape().vocab_size as u32;
    (0..count)
        .map(|index| {
            let length = rng.random_range(3..=longest);
            let prompt = rng.random_range(1..length);
            let mut supervised: Vec<bool> = (0..length).map(|t| t >= prompt).collect();
            if length - prompt > 2 {
                supervised[prompt + 1] = false;
            }
            Encoded {
                id: SampleId::from(format!("s{index}")),
                index,
                ids: (0..length).map(|_| rng.random_range(0..vocabulary)).collect(),
                supervised,
                truncated: false,
            }
        })
        .collect()
}

pub(crate) fn body(model: &dyn CausalLm) -> Vec<LayerInfo> {
    model.layers().iter().filter(|l| !l.head).cloned().collect()
}

pub(crate) fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let scale = expected.norm().double_value(&[]).max(f64::MIN_POSITIVE);
    (found - expected).norm().double_value(&[]) / scale
}
