//! Per-sample gradients against autograd loops of one sample at a time.

use tamis_dataset::Encoded;
use tamis_gradients::{Labels, LayerTrace, SquaredNorms, gradient_columns, trace_batch};
use tamis_model::Reduction;
use tamis_model::{Batch, CausalLm, DType, LayerId, LayerInfo, NoTap};
use tch::{Device, Kind, TchError, Tensor};

use crate::common::{ARCHITECTURES, body, fixture, relative_error, samples};

/// The plain way: the sample's loss from logits at every position, weight gradients by autograd.
fn autograd(
    model: &mut dyn CausalLm,
    layers: &[LayerInfo],
    sample: &Encoded,
    reduction: Reduction,
) -> (f64, Vec<Tensor>) {
    let ids: Vec<i64> = sample.ids.iter().map(|&id| i64::from(id)).collect();
    let ids = Tensor::from_slice(&ids).unsqueeze(0);
    model.parameters().set_trainable(true).unwrap();
    let hidden = model.hidden(&ids, &mut NoTap).unwrap();
    let logits = model.logits(&hidden, &mut NoTap).unwrap().squeeze_dim(0);
    let mut losses = Vec::new();
    for t in 1..sample.ids.len() {
        if sample.supervised[t] {
            let row = logits.get(t as i64 - 1).log_softmax(0, None::<Kind>);
            losses.push(-row.get(i64::from(sample.ids[t])));
        }
    }
    let count = losses.len() as f64;
    let mut loss = Tensor::stack(&losses, 0).sum(None::<Kind>);
    if reduction == Reduction::Mean {
        loss /= count;
    }
    let mut wanted = Vec::new();
    for layer in layers {
        let get = |what: &str| model.parameters().get(&format!("{}.{what}", layer.name));
        wanted.push(get("weight").unwrap().shallow_clone());
        if layer.bias {
            wanted.push(get("bias").unwrap().shallow_clone());
        }
    }
    let grads = Tensor::run_backward(&[&loss], &wanted, false, false);
    model.parameters().set_trainable(false).unwrap();
    let mut grads = grads.into_iter();
    let formed = layers
        .iter()
        .map(|layer| {
            let mut g = grads.next().unwrap();
            if layer.bias {
                g = Tensor::cat(&[g, grads.next().unwrap().unsqueeze(1)], 1);
            }
            g
        })
        .collect();
    (loss.double_value(&[]), formed)
}

fn agrees(architecture: &str, kind: DType, tolerance: f64, reduction: Reduction) {
    let mut model = fixture(architecture, kind);
    let layers = body(model.as_ref());
    let data = samples(model.as_ref(), 6, 12, 7);
    let rows: Vec<&Encoded> = data.iter().collect();
    let ids: Vec<&str> = data.iter().map(|s| s.id.as_ref()).collect();
    let batch = Batch::new(&rows, Device::Cpu).unwrap();
    let trace =
        trace_batch(model.as_ref(), &batch, &ids, &layers, reduction, Labels::Data).unwrap();
    let mut norms = SquaredNorms::new();
    for layer in &trace.layers {
        norms.add(layer).unwrap();
    }
    let norms = Vec::<f64>::try_from(norms.finish().unwrap().unwrap()).unwrap();
    for (n, sample) in data.iter().enumerate() {
        let (loss, expected) = autograd(model.as_mut(), &layers, sample, reduction);
        let found = trace.losses.double_value(&[n as i64]);
        assert!(
            (found - loss).abs() <= tolerance * loss.abs(),
            "{architecture}: loss {found} {loss}"
        );
        let mut squared = 0.0;
        for (layer, expected) in trace.layers.iter().zip(&expected) {
            let found = layer.formed().unwrap().get(n as i64);
            let error = relative_error(&found, expected);
            assert!(error <= tolerance, "{architecture} {}: {error:e}", layer.info().name);
            squared += expected.to_kind(Kind::Double).square().sum(None::<Kind>).double_value(&[]);
        }
        let error = (norms[n] / squared.sqrt() - 1.0).abs();
        assert!(error <= tolerance.max(1e-6 * f64::from(kind == DType::F32)), "norm {error:e}");
    }
}

#[test]
fn equal_to_one_sample_autograd_in_f32() {
    for architecture in ARCHITECTURES {
        agrees(architecture, DType::F32, 1e-5, Reduction::Mean);
        agrees(architecture, DType::F32, 1e-5, Reduction::Sum);
    }
}

#[test]
fn equal_to_one_sample_autograd_in_f64() {
    for architecture in ARCHITECTURES {
        agrees(architecture, DType::F64, 1e-10, Reduction::Mean);
    }
}

#[test]
fn the_untied_head_can_be_chosen_too() {
    let mut model = fixture("llama", DType::F64);
    let head = model.layers().last().unwrap().clone();
    assert!(head.head);
    let data = samples(model.as_ref(), 3, 9, 3);
    let rows: Vec<&Encoded> = data.iter().collect();
    let batch = Batch::new(&rows, Device::Cpu).unwrap();
    let layers = [head];
    let trace = trace_batch(
        model.as_ref(),
        &batch,
        &["a", "b", "c"],
        &layers,
        Reduction::Sum,
        Labels::Data,
    )
    .unwrap();
    for (n, sample) in data.iter().enumerate() {
        let (_, expected) = autograd(model.as_mut(), &layers, sample, Reduction::Sum);
        let found = trace.layers[0].formed().unwrap().get(n as i64);
        assert!(relative_error(&found, &expected[0]) < 1e-10);
    }
}

#[test]
fn norms_are_the_same_both_ways() {
    let model = fixture("qwen2", DType::F64);
    let layers = body(model.as_ref());
    // Short texts take the Gram path, long ones the formed one.
    for longest in [4, 60] {
        let data = samples(model.as_ref(), 4, longest, 11);
        let rows: Vec<&Encoded> = data.iter().collect();
        let batch = Batch::new(&rows, Device::Cpu).unwrap();
        let ids = ["a", "b", "c", "d"];
        let trace =
            trace_batch(model.as_ref(), &batch, &ids, &layers, Reduction::Sum, Labels::Data)
                .unwrap();
        let (mut plain, mut total) =
            (SquaredNorms::new(), Tensor::zeros([4], (Kind::Double, Device::Cpu)));
        for layer in &trace.layers {
            plain.add(layer).unwrap();
            assert_eq!(layer.formed().unwrap().size()[2], gradient_columns(layer.info()));
            total += layer.formed().unwrap().square().sum_dim_intlist(
                [1i64, 2].as_slice(),
                false,
                Kind::Double,
            );
        }
        let plain = plain.finish().unwrap().unwrap();
        assert!(relative_error(&plain, &total.sqrt()) < 1e-12);
    }
}

/// A layer too large for one block, with a bias: the blocks are the gradient's rows, and the norms that
/// come with them are those of the whole, formed before or not.
#[test]
fn blocks_are_the_gradient_piece_by_piece() {
    let id = LayerId(0);
    let (in_features, out_features) = (600, 900);
    let info = LayerInfo {
        id,
        name: "wide".to_owned(),
        in_features,
        out_features,
        bias: true,
        head: false,
    };
    let at = (Kind::Double, Device::Cpu);
    tch::manual_seed(1);
    let (x, g) = (Tensor::randn([3, 4, 600], at), Tensor::randn([3, 4, 900], at));
    let trace = || LayerTrace::new(info.clone(), x.shallow_clone(), g.shallow_clone());
    let whole = trace();
    let formed = whole.formed().unwrap();
    let norms = formed.square().sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Double).sqrt();
    for trace in [trace(), whole_again(&trace())] {
        let (mut blocks, mut rows) = (Vec::new(), 0);
        let taken: Result<(), TchError> = trace.each_block(|first, block| {
            assert_eq!(first, rows);
            rows += block.size()[1];
            blocks.push(block.copy());
            Ok(())
        });
        taken.unwrap();
        assert!(blocks.len() > 1);
        assert!(relative_error(&Tensor::cat(&blocks, 1), formed) < 1e-12);
        let mut sum = SquaredNorms::new();
        sum.add(&trace).unwrap();
        assert!(relative_error(&sum.finish().unwrap().unwrap(), &norms) < 1e-12);
    }
}

/// The same trace with its gradient formed already.
fn whole_again(trace: &LayerTrace) -> LayerTrace {
    let formed =
        LayerTrace::new(trace.info().clone(), trace.x().shallow_clone(), trace.g().shallow_clone());
    assert!(!formed.is_formed());
    let _ = formed.formed().unwrap();
    assert!(formed.is_formed());
    formed
}

#[test]
fn sampled_labels_follow_the_softmax_and_not_the_batch() {
    let model = fixture("llama", DType::F64);
    let layers = body(model.as_ref());
    let data = samples(model.as_ref(), 5, 12, 21);
    let labels = Labels::Sampled { seed: 5 };
    let run = |members: &[usize], labels| {
        let rows: Vec<&Encoded> = members.iter().map(|&m| &data[m]).collect();
        let ids: Vec<&str> = rows.iter().map(|s| s.id.as_ref()).collect();
        let batch = Batch::new(&rows, Device::Cpu).unwrap();
        trace_batch(model.as_ref(), &batch, &ids, &layers, Reduction::Sum, labels).unwrap().losses
    };
    let together = run(&[0, 1, 2, 3, 4], labels);
    for n in 0..5 {
        let alone = run(&[n as usize], labels);
        assert!((together.double_value(&[n]) - alone.double_value(&[0])).abs() < 1e-9);
    }
    assert!(relative_error(&run(&[0, 1, 2, 3, 4], Labels::Sampled { seed: 6 }), &together) > 1e-3);

    // The mean loss of drawn labels tends to the entropy of the softmax.
    let sample = &data[0];
    let ids: Vec<i64> = sample.ids.iter().map(|&id| i64::from(id)).collect();
    let hidden = model.hidden(&Tensor::from_slice(&ids).unsqueeze(0), &mut NoTap).unwrap();
    let log_probs =
        model.logits(&hidden, &mut NoTap).unwrap().log_softmax(-1, None::<Kind>).squeeze_dim(0);
    let entropy: f64 = (1..ids.len())
        .filter(|&t| sample.supervised[t])
        .map(|t| {
            let row = log_probs.get(t as i64 - 1);
            -(row.exp() * row).sum(None::<Kind>).double_value(&[])
        })
        .sum();
    let draws = 400;
    let mean =
        (0..draws).map(|seed| run(&[0], Labels::Sampled { seed }).double_value(&[0])).sum::<f64>()
            / f64::from(draws as u32);
    assert!((mean / entropy - 1.0).abs() < 0.02, "{mean} {entropy}");
}

/// Squares of small half-precision gradients would be zero; their norms must not be.
#[test]
fn norms_of_half_precision_models_are_right() {
    let norms = |kind, scale: f64| {
        let model = fixture("llama", kind);
        let layers = body(model.as_ref());
        let data = samples(model.as_ref(), 5, 6, 11);
        let rows: Vec<&Encoded> = data.iter().collect();
        let batch = Batch::new(&rows, Device::Cpu).unwrap();
        let ids = ["a", "b", "c", "d", "e"];
        let trace =
            trace_batch(model.as_ref(), &batch, &ids, &layers, Reduction::Mean, Labels::Data)
                .unwrap();
        let mut norms = SquaredNorms::new();
        for layer in &trace.layers {
            let g = layer.g() * scale;
            let scaled = LayerTrace::new(layer.info().clone(), layer.x().shallow_clone(), g);
            norms.add(&scaled).unwrap();
        }
        norms.finish().unwrap().unwrap() / scale
    };
    let exact = norms(DType::F64, 1.0);
    for (kind, tolerance) in [(DType::F16, 0.01), (DType::Bf16, 0.05)] {
        // Gradients as small as those of large models.
        assert!(relative_error(&norms(kind, 1e-3), &exact) < tolerance, "{kind}");
    }
}
