//! Tiny models, samples, and a warm-up that the tests share.

use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_artifact::NoProgress;
use tamis_dataset::{Encoded, SampleId};
use tamis_finetune::{CheckpointParams, Checkpoints, Every, Job, Lora, LoraParams, TrainParams};
use tamis_gradients::FlatSpec;
use tamis_less::{Direction, FeatureParams};
use tamis_model::{Attention, CausalLm, DType, DeviceSpec, LoadOptions, load};
use tch::{Kind, Tensor};

pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(name)
}

pub(crate) fn fixture(name: &str, kind: DType) -> Box<dyn CausalLm> {
    let options = LoadOptions { device: DeviceSpec::Cpu, kind, attention: Attention::Fused };
    load(folder(name), &options).unwrap()
}

/// Samples of 3 to `longest` tokens whose later part is supervised.
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
            Encoded {
                id: SampleId::from(format!("s{index}")),
                index,
                ids: (0..length).map(|_| rng.random_range(0..vocabulary)).collect(),
                supervised: (0..length).map(|t| t >= prompt).collect(),
                truncated: false,
            }
        })
        .collect()
}

/// Trains an adapter for two epochs with a checkpoint after each; returns their folders, the first
/// epoch's first. What a model named `name` is tapped by, its adapter is made for.
pub(crate) fn warm_up(name: &str, kind: DType, out: &Path, seed: u64) -> Vec<PathBuf> {
    let mut model = fixture(name, kind);
    let data = samples(model.as_ref(), 12, 14, 40);
    let target = if name == "gpt2" { "c_attn|c_proj" } else { "(q|k|v|o)_proj" };
    let adapter = LoraParams {
        rank: 3,
        alpha: 6.0,
        target: target.parse().unwrap(),
        seed,
        ..LoraParams::default()
    };
    let mut lora = Lora::new(adapter, model.as_ref()).unwrap();
    let every = CheckpointParams { every: Every::Epochs(1), keep: 2, at_end: true };
    let mut checkpoints = Checkpoints::open(out, folder(name), every).unwrap();
    let params = TrainParams {
        epochs: 2,
        batch_size: 4,
        learning_rate: 2e-2,
        weight_decay: 0.01,
        seed,
        ..TrainParams::default()
    };
    let rows = tamis_dataset::Encodings::of(&data);
    let job = Job {
        lora: Some(&mut lora),
        checkpoints: Some(&mut checkpoints),
        ..Job::new(model.as_mut(), &rows)
    };
    params.check().unwrap().run(job, &mut NoProgress).unwrap();
    let mut all: Vec<PathBuf> =
        checkpoints.list().unwrap().into_iter().map(|(_, dir)| dir).collect();
    all.reverse();
    assert_eq!(all.len(), 2);
    all
}

pub(crate) fn params(direction: Direction, projection: &str) -> FeatureParams {
    let projection: FlatSpec = projection.parse().unwrap();
    FeatureParams { direction, projection, seed: 5 }
}

pub(crate) fn relative_error(found: &Tensor, expected: &Tensor) -> f64 {
    let (found, expected) = (found.to_kind(Kind::Double), expected.to_kind(Kind::Double));
    let scale = expected.norm().double_value(&[]).max(f64::MIN_POSITIVE);
    (found - expected).norm().double_value(&[]) / scale
}
