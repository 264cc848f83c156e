//! Models and samples that the tests share.

use std::path::PathBuf;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_dataset::{Encoded, SampleId};
use tamis_model::{Attention, CausalLm, DType, DeviceSpec, LayerInfo, LoadOptions, load};

pub(crate) fn model(name: &str) -> (Box<dyn CausalLm>, Vec<LayerInfo>) {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(name);
    let options =
        LoadOptions { device: DeviceSpec::Cpu, kind: DType::F64, attention: Attention::Fused };
    let model = load(dir, &options).unwrap();
    let layers = model.layers().iter().filter(|l| !l.head).cloned().collect();
    (model, layers)
}

pub(crate) fn samples(model: &dyn CausalLm, count: usize, seed: u64) -> Vec<Encoded> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let vocabulary = model.shape().vocab_size as u32;
    (0..count)
        .map(|index| {
            let length = rng.random_range(4..14);
            Encoded {
                id: SampleId::from(format!("{seed}-{index}")),
                index,
                ids: (0..length).map(|_| rng.random_range(0..vocabulary)).collect(),
                supervised: (0..length).map(|t| t >= length / 2).collect(),
                truncated: false,
            }
        })
        .collect()
}
