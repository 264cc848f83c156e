//! Weights, masters, moments and adapters lie in memory row by row, whether training made them or a
//! checkpoint gave them back: products over other strides run other kernels, which round differently on
//! some processors.

use tamis_artifact::NoProgress;
use tamis_finetune::{AdamW, AdamWParams, Lora, LoraParams, SavedCheckpoint, TrainParams};
use tamis_model::{DType, load};
use tch::{Device, Kind, Tensor};

use crate::common::{data, llama, settings};
use crate::run::Run;

/// Values alone cannot show a layout on every processor: the strides are looked at.
fn assert_row_major(what: &str, tensor: &Tensor) {
    let mut expected = vec![1; tensor.dim()];
    for side in (1..tensor.dim()).rev() {
        expected[side - 1] = expected[side] * tensor.size()[side];
    }
    assert_eq!(tensor.stride(), expected, "{what} of size {:?}", tensor.size());
}

fn lora() -> LoraParams {
    let target = "(q|v)_proj".parse().unwrap();
    LoraParams { rank: 3, alpha: 6.0, target, seed: 4, ..LoraParams::default() }
}

#[test]
fn moments_lie_row_by_row_even_of_a_parameter_that_does_not() {
    let options = (Kind::Float, Device::Cpu);
    let turned = Tensor::arange(6, options).view([2, 3]).tr();
    assert!(!turned.is_contiguous());
    let named = [("turned", &turned)];
    let mut adam = AdamW::new(AdamWParams::default(), named).unwrap();
    adam.step(&mut [turned.shallow_clone()], &mut [turned.ones_like()], 0.1, 1.0).unwrap();
    let moments = &adam.moments()[0];
    assert_row_major("first", &moments.first);
    assert_row_major("second", &moments.second);
    assert!(moments.first.abs().min().double_value(&[]) > 0.0);
}

#[test]
fn adapters_and_moments_lie_row_by_row_made_trained_and_read() {
    let data = data();
    let params = TrainParams { epochs: 1, batch_size: data.len(), ..settings() };
    for rank in [1, 3] {
        let lora = LoraParams { rank, ..lora() };
        let mut model = llama(DType::F32);
        let made = Lora::new(lora.clone(), &*model).unwrap();
        let run = Run { kind: DType::F32, params: params.clone(), lora: Some(lora), ..Run::new() };
        let dir = tempfile::tempdir().unwrap();
        run.go(Some(dir.path()), &data, &mut NoProgress).unwrap();
        let saved = SavedCheckpoint::open(dir.path().join("checkpoint-1")).unwrap();
        let read = saved.lora(&*model).unwrap();
        for (what, adapter) in [("made", &made), ("read", &read)] {
            for (name, tensor) in adapter.parameters() {
                assert_row_major(&format!("{what} {name}"), tensor);
            }
        }
        for (name, _) in read.parameters() {
            let (first, second) = saved.moments(&name).unwrap();
            assert_row_major(&name, first);
            assert_row_major(&name, second);
        }
        read.merge(&mut *model).unwrap();
        for (name, tensor) in model.parameters().iter() {
            assert_row_major(&format!("merged {name}"), tensor);
        }
    }
}

#[test]
fn weights_lie_row_by_row_trained_and_read_with_and_without_masters() {
    let data = data();
    let params = TrainParams { epochs: 1, batch_size: data.len(), ..settings() };
    for kind in [DType::F32, DType::Bf16] {
        let run = Run { kind, params: params.clone(), ..Run::new() };
        let dir = tempfile::tempdir().unwrap();
        run.go(Some(dir.path()), &data, &mut NoProgress).unwrap();
        let place = dir.path().join("checkpoint-1");
        let saved = SavedCheckpoint::open(&place).unwrap();
        let options = tamis_model::LoadOptions {
            device: tamis_model::DeviceSpec::Cpu,
            kind,
            ..tamis_model::LoadOptions::default()
        };
        let model = load(&place, &options).unwrap();
        assert_eq!(model.parameters().len(), llama(kind).parameters().len());
        for (name, tensor) in model.parameters().iter() {
            assert_row_major(name, tensor);
            let (first, second) = saved.moments(name).unwrap();
            assert_row_major(name, first);
            assert_row_major(name, second);
        }
    }
}
