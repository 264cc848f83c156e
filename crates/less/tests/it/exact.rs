//! Features against a loop over single samples: autograd on the adapter's own matrices, and Adam's
//! arithmetic written out number by number.

use std::path::Path;

use tamis_dataset::Encoded;
use tamis_gradients::{FlatProjection, GradientPass, PassParams};
use tamis_less::{Direction, WarmCheckpoint};
use tamis_model::{Batch, CausalLm, DType, Reduction, per_sample_loss};
use tch::{Device, Kind, Tensor};

use crate::common::{fixture, params, relative_error, samples, warm_up};

/// Gradients of one sample with respect to every matrix of the adapter, by name.
fn gradients(
    model: &dyn CausalLm,
    warm: &WarmCheckpoint,
    sample: &Encoded,
    reduction: Reduction,
) -> Vec<(String, Vec<f64>)> {
    let named: Vec<(String, Tensor)> = warm
        .lora()
        .parameters()
        .map(|(name, tensor)| (name, tensor.set_requires_grad(true)))
        .collect();
    let batch = Batch::new(&[sample], model.shape().device).unwrap();
    let loss = per_sample_loss(model, &batch, reduction, &mut warm.lora().tap()).unwrap();
    loss.sum(loss.kind()).backward();
    named
        .into_iter()
        .map(|(name, mut tensor)| {
            let gradient = tensor.grad().to_kind(Kind::Double).flatten(0, -1);
            let values = Vec::<f64>::try_from(&gradient).unwrap();
            tensor.zero_grad();
            let _ = tensor.set_requires_grad(false);
            (name, values)
        })
        .collect()
}

/// Adam's step along `g`, as the paper or the released code has it.
fn turned(direction: Direction, warm: &WarmCheckpoint, name: &str, g: &[f64]) -> Vec<f64> {
    let adam = warm.saved().optimizer();
    let ((beta1, beta2), t) = (adam.betas, warm.saved().steps() as i32);
    let (m, v) = warm.saved().moments(name).unwrap();
    let values = |tensor: &Tensor| -> Vec<f64> {
        tensor.to_kind(Kind::Double).flatten(0, -1).try_into().unwrap()
    };
    let (m, v) = (values(m), values(v));
    assert_eq!(m.len(), g.len());
    let step = |((&g, m), v): ((&f64, f64), f64)| {
        let m = beta1 * m + (1.0 - beta1) * g;
        let v = beta2 * v + (1.0 - beta2) * g * g;
        match direction {
            Direction::Plain => g,
            Direction::Paper => {
                let m = m / (1.0 - beta1.powi(t + 1));
                let v = v / (1.0 - beta2.powi(t + 1));
                m / (v.sqrt() + adam.eps)
            }
            Direction::Reference => m / (v + adam.eps).sqrt(),
        }
    };
    g.iter().zip(m).zip(v).map(step).collect()
}

/// The features that the loop gives each sample, (samples, dim).
fn naive(
    model: &dyn CausalLm,
    warm: &WarmCheckpoint,
    data: &[Encoded],
    direction: Direction,
    projection: &FlatProjection,
) -> Tensor {
    let options = (Kind::Double, Device::Cpu);
    let rows: Vec<Tensor> = data
        .iter()
        .map(|sample| {
            let mut row = Tensor::zeros([1, projection.dim() as i64], options);
            for (name, g) in gradients(model, warm, sample, Reduction::Mean) {
                let turned = turned(direction, warm, &name, &g);
                let turned = Tensor::from_slice(&turned).unsqueeze(0);
                projection.add(&name, 0, &turned, &mut row).unwrap();
            }
            row
        })
        .collect();
    Tensor::cat(&rows, 0)
}

fn check(architecture: &str, kind: DType, dir: &Path, spec: &str, tolerance: f64) {
    let folders = warm_up(architecture, kind, dir, 1);
    let mut model = fixture(architecture, kind);
    let data = samples(model.as_ref(), 7, 12, 8);
    for folder in &folders {
        let mut warm = WarmCheckpoint::open(folder, model.as_ref()).unwrap();
        let layers = warm.layers(model.as_ref());
        for direction in [Direction::Paper, Direction::Reference, Direction::Plain] {
            let params = params(direction, spec);
            let sizes: Vec<_> = warm.lora().parameters().map(|(n, t)| (n, t.numel())).collect();
            let sizes = sizes.iter().map(|(name, count)| (name.as_str(), *count));
            let at = (Kind::Double, Device::Cpu);
            let projection = params.projection.build(sizes, params.seed, at).unwrap();
            let expected = naive(model.as_ref(), &warm, &data, direction, &projection);
            let features = warm.features(&layers, &params).unwrap();
            for token_budget in [12, 40, 1000] {
                let how = PassParams { token_budget, ..PassParams::default() };
                let adapted = warm.adapted(model.as_mut());
                let pass = GradientPass { model: &adapted, layers: &layers, params: how };
                let found = pass.rows_of(&data, &features).unwrap();
                for row in 0..data.len() as i64 {
                    let error = relative_error(&found.rows.get(row), &expected.get(row));
                    assert!(error < tolerance, "{architecture} {direction} row {row}: {error:e}");
                }
                // The order of the samples changes nothing either.
                let mut backwards = data.clone();
                backwards.reverse();
                let turned = pass.rows_of(&backwards, &features).unwrap();
                let error = relative_error(&turned.rows.flip([0]), &found.rows);
                assert!(error < tolerance, "{architecture} {direction}: {error:e}");
            }
        }
    }
}

#[test]
fn features_equal_a_loop_over_single_samples_in_f64() {
    let dir = tempfile::tempdir().unwrap();
    for (number, architecture) in ["llama", "qwen2", "gpt2"].into_iter().enumerate() {
        let folder = dir.path().join(architecture);
        let spec = ["sparse:2048", "rademacher:100", "sparse:4000"][number];
        check(architecture, DType::F64, &folder, spec, 1e-9);
    }
}

#[test]
fn features_equal_a_loop_over_single_samples_in_f32() {
    let dir = tempfile::tempdir().unwrap();
    check("llama", DType::F32, &dir.path().join("a"), "sparse:2048", 1e-4);
    check("mistral", DType::F32, &dir.path().join("b"), "rademacher:512", 1e-4);
}

#[test]
fn recorded_norms_are_those_of_the_adapters_gradients() {
    let dir = tempfile::tempdir().unwrap();
    let folder = warm_up("llama", DType::F64, dir.path(), 2).remove(1);
    let mut model = fixture("llama", DType::F64);
    let data = samples(model.as_ref(), 5, 12, 9);
    let mut warm = WarmCheckpoint::open(folder, model.as_ref()).unwrap();
    let layers = warm.layers(model.as_ref());
    let expected: Vec<f64> = data
        .iter()
        .map(|sample| {
            let parts = gradients(model.as_ref(), &warm, sample, Reduction::Mean);
            parts.iter().flat_map(|(_, g)| g).map(|g| g * g).sum::<f64>().sqrt()
        })
        .collect();
    let features = warm.features(&layers, &params(Direction::Paper, "sparse:64")).unwrap();
    let adapted = warm.adapted(model.as_mut());
    let pass = GradientPass { model: &adapted, layers: &layers, params: PassParams::default() };
    let found = pass.rows_of(&data, &features).unwrap();
    for (info, expected) in found.infos.iter().zip(expected) {
        assert!((info.norm - expected).abs() < 1e-9 * expected, "{}: {expected}", info.norm);
    }
}
