//! Logits equal to those of the `transformers` library.

use std::collections::HashMap;

use tamis_model::{Attention, DType, NoTap, load};
use tch::Tensor;

use crate::support::{FIXTURES, difference, folder, largest, model, options, with_weights};

fn expected(name: &str) -> (Tensor, Tensor) {
    let tensors = Tensor::read_safetensors(folder(name).join("expected.safetensors")).unwrap();
    let mut tensors: HashMap<_, _> = tensors.into_iter().collect();
    (tensors.remove("input_ids").unwrap(), tensors.remove("logits").unwrap())
}

fn logits(model: &dyn tamis_model::CausalLm, ids: &Tensor) -> Tensor {
    tch::no_grad(|| model.logits(&model.hidden(ids, &mut NoTap).unwrap(), &mut NoTap).unwrap())
}

#[test]
fn logits_equal_transformers() {
    for name in FIXTURES {
        let (ids, expected) = expected(name);
        // The weights are wide, so the logits are far from equal to each other.
        assert!(largest(&expected) > 1.0, "{name}");
        for kind in [DType::F32, DType::F64] {
            for attention in [Attention::Fused, Attention::Math] {
                let model = load(folder(name), &options(kind, attention)).unwrap();
                let off = difference(&logits(&*model, &ids), &expected);
                assert!(off <= 1e-4, "{name} {kind} {attention:?}: off by {off}");
            }
        }
    }
}

#[test]
fn half_precision_is_close() {
    for name in FIXTURES {
        let (ids, expected) = expected(name);
        for (kind, bound) in [(DType::F16, 0.02), (DType::Bf16, 0.15)] {
            let model = model(name, kind);
            assert_eq!(model.shape().kind, kind.kind());
            let off = difference(&logits(&*model, &ids), &expected) / largest(&expected);
            assert!(off <= bound, "{name} {kind}: off by {off} of the largest logit");
        }
    }
}

#[test]
fn gpt2_names_without_prefix() {
    let dir = with_weights("gpt2", |tensors| {
        for (name, _) in tensors.iter_mut() {
            *name = name.strip_prefix("transformer.").unwrap().to_owned();
        }
        // What older releases stored beside the weights.
        tensors
            .push(("h.0.attn.bias".to_owned(), Tensor::ones([1, 1, 64, 64], tch::kind::FLOAT_CPU)));
    });
    let (ids, expected) = expected("gpt2");
    let model = load(dir.path(), &options(DType::F32, Attention::Fused)).unwrap();
    assert!(difference(&logits(&*model, &ids), &expected) <= 1e-4);
    assert_eq!(model.layers()[0].name, "transformer.h.0.attn.c_attn");
    let usual = crate::support::model("gpt2", DType::F32);
    assert_eq!(
        model.parameters().fingerprint().unwrap(),
        usual.parameters().fingerprint().unwrap()
    );
}

#[test]
fn longer_inputs_after_shorter_ones() {
    // The rotary tables grow; what was computed with the short ones must not change.
    for name in FIXTURES {
        let (ids, expected) = expected(name);
        let model = model(name, DType::F32);
        for time in [1, 3, 20, 7] {
            let off =
                difference(&logits(&*model, &ids.narrow(1, 0, time)), &expected.narrow(1, 0, time));
            assert!(off <= 1e-4, "{name} at {time} tokens: off by {off}");
        }
    }
}
