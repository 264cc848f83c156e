//! The tiny Llama of the fixtures and data for it.

use std::path::PathBuf;

use serde::Deserialize;
use tamis_dataset::{Encoded, SampleId};
use tamis_finetune::{TrainParams, epoch_order};
use tamis_model::{CausalLm, DType, DeviceSpec, LoadOptions, load};
use tch::{Kind, Tensor};

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn llama(kind: DType) -> Box<dyn CausalLm> {
    base("llama", kind)
}

/// The model in a folder of the fixtures.
pub(crate) fn base(name: &str, kind: DType) -> Box<dyn CausalLm> {
    let options = LoadOptions { device: DeviceSpec::Cpu, kind, ..LoadOptions::default() };
    load(fixture(name), &options).unwrap()
}

#[derive(Deserialize)]
pub(crate) struct Data {
    /// In which order the recorded runs saw the samples.
    order: Vec<usize>,
    samples: Vec<Tokens>,
}

#[derive(Deserialize)]
struct Tokens {
    ids: Vec<u32>,
    supervised: Vec<bool>,
}

impl Data {
    pub(crate) fn read() -> Self {
        serde_json::from_slice(&std::fs::read(fixture("data.json")).unwrap()).unwrap()
    }

    pub(crate) fn encoded(&self) -> Vec<Encoded> {
        let sample = |(index, tokens): (usize, &Tokens)| Encoded {
            id: SampleId::from(format!("sample-{index}")),
            index,
            ids: tokens.ids.clone(),
            supervised: tokens.supervised.clone(),
            truncated: false,
        };
        self.samples.iter().enumerate().map(sample).collect()
    }

    /// The samples in such places that the first epoch with `seed` sees them in the recorded order.
    pub(crate) fn seen_as_recorded(&self, seed: u64) -> Vec<Encoded> {
        let samples = self.encoded();
        let mut placed = samples.clone();
        for (place, &recorded) in epoch_order(samples.len(), seed, 0).into_iter().zip(&self.order) {
            placed[place] = Encoded { index: place, ..samples[recorded].clone() };
        }
        placed
    }
}

pub(crate) fn data() -> Vec<Encoded> {
    Data::read().encoded()
}

/// Two epochs of five steps that change the tiny model a good deal.
pub(crate) fn settings() -> TrainParams {
    TrainParams {
        epochs: 2,
        learning_rate: 5e-3,
        batch_size: 4,
        token_budget: 64,
        weight_decay: 0.1,
        seed: 3,
        ..TrainParams::default()
    }
}

/// Every weight as f64, in the model's order.
pub(crate) fn weights(model: &dyn CausalLm) -> Vec<(String, Vec<f64>)> {
    let values = |tensor: &Tensor| {
        Vec::try_from(tensor.detach().flatten(0, -1).to_kind(Kind::Double)).unwrap()
    };
    model.parameters().iter().map(|(name, tensor)| (name.to_owned(), values(tensor))).collect()
}

/// Largest absolute difference over all weights, and the name of the tensor it is in.
pub(crate) fn difference(a: &[(String, Vec<f64>)], b: &[(String, Vec<f64>)]) -> (f64, String) {
    assert_eq!(a.len(), b.len());
    let mut largest = (0.0, String::new());
    for ((name, a), (other, b)) in a.iter().zip(b) {
        assert_eq!((name, a.len()), (other, b.len()));
        for (a, b) in a.iter().zip(b) {
            let difference = (a - b).abs();
            // A NaN counts as different.
            if difference > largest.0 || difference.is_nan() {
                largest = (difference, name.clone());
            }
        }
    }
    largest
}
