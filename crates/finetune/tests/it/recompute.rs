//! Activation checkpointing gives the gradients that remembering activations gives.

use tamis_artifact::NoProgress;
use tamis_dataset::Encodings;
use tamis_finetune::{Job, Lora, LoraParams, TrainParams};
use tamis_model::DType;
use tch::Kind;

use crate::common::{base, data, difference, settings, weights};

fn short() -> Vec<tamis_dataset::Encoded> {
    let mut data = data();
    for sample in &mut data {
        sample.ids.iter_mut().for_each(|id| *id %= 40);
    }
    data
}

#[test]
fn full_training_is_the_same_to_rounding() {
    for name in ["llama", "gpt2"] {
        let trained = |activation_checkpointing| {
            let mut model = base(name, DType::F64);
            let params = TrainParams { activation_checkpointing, ..settings() };
            let trainer = params.check().unwrap();
            let report =
                trainer.train(model.as_mut(), &Encodings::of(&short()), &mut NoProgress).unwrap();
            (weights(&*model), report.losses)
        };
        let (plain, again) = (trained(false), trained(true));
        let (largest, at) = difference(&plain.0, &again.0);
        assert!(largest < 1e-8, "{name}: {largest:e} in {at}");
        let losses = plain.1.iter().zip(&again.1);
        assert!(losses.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) < 1e-9);
        assert!(difference(&plain.0, &weights(&*base(name, DType::F64))).0 > 1e-3);
    }
}

#[test]
fn an_adapter_with_dropout_sees_the_same_masks_again() {
    let trained = |activation_checkpointing| {
        let mut model = base("llama", DType::F64);
        let lora = LoraParams { dropout: 0.4, rank: 4, ..LoraParams::default() };
        let mut lora = Lora::new(lora, &*model).unwrap();
        let data = short();
        let rows = Encodings::of(&data);
        let job = Job { lora: Some(&mut lora), ..Job::new(model.as_mut(), &rows) };
        let params = TrainParams { activation_checkpointing, ..settings() };
        params.check().unwrap().run(job, &mut NoProgress).unwrap();
        lora.parameters()
            .map(|(name, tensor)| {
                let values = tensor.detach().flatten(0, -1).to_kind(Kind::Double);
                (name, Vec::try_from(values).unwrap())
            })
            .collect::<Vec<(String, Vec<f64>)>>()
    };
    let (largest, at) = difference(&trained(false), &trained(true));
    assert!(largest < 1e-8, "{largest:e} in {at}");
}
