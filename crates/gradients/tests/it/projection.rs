//! Projections against explicit matrices, and the laws they must keep.

use tamis_dataset::Encoded;
use tamis_gradients::{
    BatchTrace, Entries, Labels, ProjectionSpec, Reducer, random_matrix, trace_batch,
};
use tamis_model::Reduction;
use tamis_model::{Batch, CausalLm, DType, LayerInfo};
use tch::{Device, Kind, Tensor};

use crate::common::{body, fixture, relative_error, samples};

const AT: (Kind, Device) = (Kind::Double, Device::Cpu);

fn traced(name: &str) -> (Box<dyn CausalLm>, Vec<LayerInfo>, BatchTrace) {
    let model = fixture(name, DType::F64);
    let layers = body(model.as_ref());
    let data = samples(model.as_ref(), 3, 10, 1);
    let rows: Vec<&Encoded> = data.iter().collect();
    let batch = Batch::new(&rows, Device::Cpu).unwrap();
    let ids = ["a", "b", "c"];
    let trace =
        trace_batch(model.as_ref(), &batch, &ids, &layers, Reduction::Sum, Labels::Data).unwrap();
    (model, layers, trace)
}

fn project(spec: &str, layers: &[LayerInfo], trace: &BatchTrace, seed: u64) -> Tensor {
    let spec: ProjectionSpec = spec.parse().unwrap();
    let projection = spec.build(layers, seed, Kind::Double, Device::Cpu).unwrap();
    assert_eq!(projection.width(), spec.width(layers));
    let mut rows = Tensor::zeros([3, projection.width() as i64], AT);
    for layer in &trace.layers {
        projection.add(layer, &mut rows).unwrap();
    }
    rows
}

#[test]
fn two_sided_is_the_product_with_both_matrices() {
    // With and without biases.
    for name in ["llama", "gpt2"] {
        let (_model, layers, trace) = traced(name);
        let found = project("gaussian:5x7", &layers, &trace, 9);
        let expected: Vec<Tensor> = trace
            .layers
            .iter()
            .map(|layer| {
                let (info, formed) = (layer.info(), layer.formed().unwrap());
                let matrix = |rows, columns, purpose| {
                    let of = (purpose, info.name.as_str());
                    random_matrix(Entries::Gaussian, rows, columns, 9, of, AT).unwrap()
                };
                let left = matrix(5, formed.size()[1], "out");
                let right = matrix(7, formed.size()[2], "in");
                left.matmul(formed).matmul(&right.transpose(0, 1)).flatten(1, -1)
            })
            .collect();
        assert!(relative_error(&found, &Tensor::cat(&expected, 1)) < 1e-12);
    }
}

#[test]
fn formed_gradients_project_like_traces() {
    let (_model, layers, trace) = traced("gpt2");
    for spec in ["full", "4x4", "gaussian:3x5", "sparse:64"] {
        let expected = project(spec, &layers, &trace, 2);
        let spec: ProjectionSpec = spec.parse().unwrap();
        let projection = spec.build(&layers, 2, Kind::Double, Device::Cpu).unwrap();
        let mut rows = Tensor::zeros([3, projection.width() as i64], AT);
        for layer in &trace.layers {
            projection.add_formed(layer.info(), layer.formed().unwrap(), &mut rows).unwrap();
        }
        assert!(relative_error(&rows, &expected) < 1e-12, "{spec}");
    }
}

#[test]
fn full_keeps_every_entry() {
    let (_model, layers, trace) = traced("llama");
    let found = project("full", &layers, &trace, 0);
    let formed: Vec<Tensor> =
        trace.layers.iter().map(|l| l.formed().unwrap().flatten(1, -1)).collect();
    assert!(relative_error(&found, &Tensor::cat(&formed, 1)) < 1e-15);
}

/// Over independent seeds the projected inner product must average to the true one; the deviation
/// allowed is five standard errors, measured from the draws themselves.
#[test]
fn projected_inner_products_are_unbiased() {
    let (_model, layers, trace) = traced("llama");
    let full = project("full", &layers, &trace, 0);
    for spec in ["4x4", "gaussian:4x4", "8x2", "sparse:128"] {
        for (a, b) in [(0, 0), (0, 1), (1, 2)] {
            let truth = full.get(a).dot(&full.get(b)).double_value(&[]);
            let draws: Vec<f64> = (0..300)
                .map(|seed| {
                    let rows = project(spec, &layers, &trace, seed);
                    rows.get(a).dot(&rows.get(b)).double_value(&[])
                })
                .collect();
            let n = draws.len() as f64;
            let mean = draws.iter().sum::<f64>() / n;
            let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let error = (variance / n).sqrt();
            assert!((mean - truth).abs() < 5.0 * error, "{spec}: {mean} ± {error}, not {truth}");
            // The bound must be tight enough to see a wrong scale.
            let norms = full.get(a).norm().double_value(&[]) * full.get(b).norm().double_value(&[]);
            assert!(error < 0.1 * norms, "{spec}: {error} of {norms}");
        }
    }
}

#[test]
fn matrices_depend_on_seed_layer_and_side_alone() {
    let matrix = |seed, purpose, name, kind| {
        let entries = Entries::Rademacher;
        random_matrix(entries, 4, 64, seed, (purpose, name), (kind, Device::Cpu)).unwrap()
    };
    let first = matrix(1, "out", "layer", Kind::Double);
    assert_eq!(first, matrix(1, "out", "layer", Kind::Double));
    for other in [
        matrix(2, "out", "layer", Kind::Double),
        matrix(1, "in", "layer", Kind::Double),
        matrix(1, "out", "other", Kind::Double),
    ] {
        assert_ne!(first, other);
    }
    assert_eq!(first.to_kind(Kind::Float), matrix(1, "out", "layer", Kind::Float));
    // The bits themselves are part of the stored format: a store made today must be readable later.
    let signs: Vec<f64> = Vec::try_from((first.get(0) * 2.0).narrow(0, 0, 16)).unwrap();
    let bits = signs.iter().fold(0u16, |bits, &s| bits << 1 | u16::from(s > 0.0));
    assert_eq!(bits, GOLDEN_SIGNS, "{bits:#018b}");
}

/// First 16 signs of the matrix (seed 1, "out", "layer").
const GOLDEN_SIGNS: u16 = 0b1010_0100_0110_0110;

#[test]
fn specifications_are_read_and_written() {
    for text in ["full", "16x8", "gaussian:4x4", "sparse:8192"] {
        assert_eq!(text.parse::<ProjectionSpec>().unwrap().to_string(), text);
    }
    for wrong in ["", "16", "0x4", "4x", "sparse:0", "sparse:", "uniform:4x4", "x"] {
        let error = wrong.parse::<ProjectionSpec>().unwrap_err().to_string();
        assert!(error.contains("OUTxIN"), "{error}");
    }
}
