//! Products of the Gauss–Newton matrix against dense matrices, and what they must not depend on.

use nalgebra::DVector;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::gradient_columns;
use tamis_influence::exact::{Dense, dense_gauss_newton};
use tamis_influence::{GaussNewton, GaussNewtonParams, InfluenceError};
use tamis_kfac::Tokens;
use tamis_model::{Attention, CausalLm, DType, DeviceSpec, LayerInfo, LoadOptions, load};
use tch::{Device, Kind, Tensor};

use crate::common::{model, samples};
use crate::softmax::SoftmaxRegression;

/// A few layers of each architecture, with and without bias, in both halves of a block and in
/// different blocks: few enough parameters for a dense matrix.
pub(crate) const CHOSEN: [(&str, [&str; 2]); 3] = [
    ("llama", ["layers.0.self_attn.v_proj", "layers.1.self_attn.q_proj"]),
    ("gpt2", ["h.0.attn.c_proj", "h.1.attn.c_proj"]),
    ("qwen2", ["layers.0.self_attn.k_proj", "layers.0.self_attn.o_proj"]),
];

pub(crate) fn few(layers: &[LayerInfo], names: &[&str]) -> Vec<LayerInfo> {
    let few: Vec<_> =
        layers.iter().filter(|l| names.iter().any(|n| l.name.ends_with(n))).cloned().collect();
    assert_eq!(few.len(), names.len());
    few
}

fn vector(layers: &[LayerInfo], seed: u64) -> Vec<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let one = |layer: &LayerInfo| {
        let size = [layer.out_features, gradient_columns(layer)];
        let values: Vec<f64> =
            (0..size[0] * size[1]).map(|_| rng.random_range(-1.0..1.0)).collect();
        Tensor::from_slice(&values).view(size)
    };
    layers.iter().map(one).collect()
}

fn flat(vector: &[Tensor]) -> DVector<f64> {
    let parts = vector.iter().flat_map(|t| Vec::<f64>::try_from(t.flatten(0, -1)).unwrap());
    DVector::from_vec(parts.collect())
}

fn products(
    model: &dyn CausalLm,
    layers: &[LayerInfo],
    data: &[Encoded],
    params: GaussNewtonParams,
    vectors: &[Vec<Tensor>],
) -> Vec<DVector<f64>> {
    let matrix = GaussNewton::new(model, layers, &Encodings::of(data), params).unwrap();
    matrix.product(vectors).unwrap().iter().map(|p| flat(p)).collect()
}

fn agree(found: &DVector<f64>, expected: &DVector<f64>, what: &str) {
    let error = (found - expected).norm() / expected.norm();
    assert!(error < 1e-9, "{what}: relative error {error:e}");
}

fn check_products(model: &dyn CausalLm, layers: &[LayerInfo], data: &[Encoded], what: &str) {
    let vectors = [vector(layers, 1), vector(layers, 2), vector(layers, 3)];
    let flat_vectors: Vec<_> = vectors.iter().map(|v| flat(v)).collect();
    for tokens in [Tokens::Expand, Tokens::Reduce] {
        let dense: Dense = dense_gauss_newton(model, layers, data, tokens).unwrap();
        let params = GaussNewtonParams { tokens, token_budget: 40 };
        let found = products(model, layers, data, params, &vectors);
        for (found, v) in found.iter().zip(&flat_vectors) {
            agree(found, &(dense.matrix() * v), what);
            assert!(found.dot(v) > 0.0, "{what}: not positive");
        }
        let (left, right) = (found[0].dot(&flat_vectors[1]), found[1].dot(&flat_vectors[0]));
        let scale = found[0].norm() * flat_vectors[1].norm();
        assert!((left - right).abs() < 1e-12 * scale, "{what}: not symmetric");
    }
}

#[test]
fn products_are_those_of_the_dense_matrix() {
    for (name, chosen) in CHOSEN {
        let (model, layers) = model(name);
        let data = samples(model.as_ref(), 4, 11);
        check_products(model.as_ref(), &few(&layers, &chosen), &data, name);
    }
}

/// The head sees predicting positions alone, not (batch, time).
#[test]
fn the_head_may_be_among_the_layers() {
    let model = SoftmaxRegression::new(12, 6, 5).with_a_head(7);
    let data = model.samples(5, 6, 6);
    let layers = model.layers();
    assert!(layers[1].head && layers[0].bias && layers[1].bias);
    check_products(&model, layers, &data, "two layers");
    check_products(&model, &layers[1..], &data, "the head alone");
}

#[test]
fn batch_size_padding_and_order_do_not_matter() {
    for (name, _) in CHOSEN {
        let (model, layers) = model(name);
        let data = samples(model.as_ref(), 7, 12);
        let vectors = [vector(&layers, 4), vector(&layers, 5)];
        let with = |data: &[Encoded], token_budget| {
            let params = GaussNewtonParams { token_budget, ..GaussNewtonParams::default() };
            products(model.as_ref(), &layers, data, params, &vectors)
        };
        // One sample a batch: nothing is padded.
        let expected = with(&data, 1);
        let mut reversed = data.clone();
        reversed.reverse();
        for found in [with(&data, 30), with(&data, 4096), with(&reversed, 30)] {
            for (found, expected) in found.iter().zip(&expected) {
                agree(found, expected, name);
            }
        }
        // A vector's product does not depend on the others of the call.
        let params = GaussNewtonParams { token_budget: 1, ..GaussNewtonParams::default() };
        let alone = products(model.as_ref(), &layers, &data, params, &vectors[1..]);
        agree(&alone[0], &expected[1], name);
    }
}

/// Data that comes in parts: the matrix of the whole is the mean of theirs, weighted by tokens.
#[test]
fn matrices_of_parts_add_up() {
    let (model, layers) = model("llama");
    let data = samples(model.as_ref(), 6, 13);
    let vectors = [vector(&layers, 6)];
    let part = |data: &[Encoded]| {
        let matrix = GaussNewton::new(
            model.as_ref(),
            &layers,
            &Encodings::of(data),
            GaussNewtonParams::default(),
        )
        .unwrap();
        (matrix.count(), flat(&matrix.product(&vectors).unwrap()[0]))
    };
    let (whole, (a, b)) = (part(&data), (part(&data[..2]), part(&data[2..])));
    assert_eq!(whole.0, a.0 + b.0);
    agree(&whole.1, &((a.1 * a.0 + b.1 * b.0) / whole.0), "parts");
}

#[test]
fn the_kernel_a_model_was_loaded_with_does_not_matter() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures/llama");
    let found = [Attention::Fused, Attention::Math].map(|attention| {
        let options = LoadOptions { device: DeviceSpec::Cpu, kind: DType::F64, attention };
        let model = load(folder, &options).unwrap();
        let layers = few(model.layers(), &CHOSEN[0].1);
        let data = samples(model.as_ref(), 3, 14);
        let params = GaussNewtonParams::default();
        products(model.as_ref(), &layers, &data, params, &[vector(&layers, 7)])
    });
    assert_eq!(found[0], found[1]);
}

/// In f32 the products are those in f64 to rounding.
#[test]
fn single_precision_will_do_and_half_precision_is_refused() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures/qwen2");
    let loaded = |kind| {
        let options = LoadOptions { device: DeviceSpec::Cpu, kind, attention: Attention::Fused };
        load(folder, &options).unwrap()
    };
    let wide = loaded(DType::F64);
    let layers: Vec<LayerInfo> = wide.layers().iter().filter(|l| !l.head).cloned().collect();
    let data = samples(wide.as_ref(), 4, 15);
    let v = vector(&layers, 8);
    let params = GaussNewtonParams::default();
    let expected = products(wide.as_ref(), &layers, &data, params, &[vector(&layers, 8)]);
    let narrow = loaded(DType::F32);
    let v: Vec<Tensor> = v.iter().map(|t| t.to_kind(Kind::Float)).collect();
    let matrix = GaussNewton::new(narrow.as_ref(), &layers, &Encodings::of(&data), params).unwrap();
    let found = matrix.product(&[v]).unwrap();
    let found: Vec<Tensor> = found[0].iter().map(|t| t.to_kind(Kind::Double)).collect();
    let error = (flat(&found) - &expected[0]).norm() / expected[0].norm();
    assert!(error < 1e-4, "{error:e}");
    for kind in [DType::F16, DType::Bf16] {
        let half = loaded(kind);
        let refused = GaussNewton::new(half.as_ref(), &layers, &Encodings::of(&data), params);
        assert!(matches!(refused, Err(InfluenceError::Precision { .. })));
    }
}

#[test]
fn what_cannot_be_multiplied_is_refused() {
    let (model, layers) = model("llama");
    let params = GaussNewtonParams::default();
    let none: Vec<Encoded> = Vec::new();
    let refused = GaussNewton::new(model.as_ref(), &layers, &Encodings::of(&none), params);
    assert!(matches!(refused, Err(InfluenceError::NoSamples { samples: 0 })));

    let data = samples(model.as_ref(), 3, 16);
    let matrix = GaussNewton::new(model.as_ref(), &layers, &Encodings::of(&data), params).unwrap();
    let mut wrong = vector(&layers, 9);
    wrong[3] = Tensor::zeros([2, 2], (Kind::Double, Device::Cpu));
    let refused = matrix.product(&[wrong]);
    assert!(matches!(refused, Err(InfluenceError::Mismatch { .. })));

    let embedding = model.parameters().get("model.embed_tokens.weight").unwrap();
    let _ = embedding.get(i64::from(data[1].ids[0])).fill_(f64::NAN);
    let error = matrix.product(&[vector(&layers, 9)]).unwrap_err();
    assert!(matches!(&error, InfluenceError::NonFiniteSample { id } if id == "16-1"), "{error}");
}
