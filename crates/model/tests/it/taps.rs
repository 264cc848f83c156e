//! The seam: every linear layer passes the tap, once, and what the tap returns is what is used.

use tamis_model::{
    Batch, CausalLm, DType, LayerId, LayerInfo, NoTap, Reduction, Tap, per_sample_loss,
};
use tch::{Device, TchError, Tensor};

use crate::support::{FIXTURES, difference, largest, model, sample, some_ids};

/// Keeps inputs and outputs.
#[derive(Default)]
struct Record(Vec<(LayerId, Tensor, Tensor)>);

impl Tap for Record {
    fn linear(&mut self, layer: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        self.0.push((layer, x.shallow_clone(), y.shallow_clone()));
        Ok(y)
    }
}

/// Puts zeros in place of one layer's output.
struct Silence(LayerId);

impl Tap for Silence {
    fn linear(&mut self, layer: LayerId, _: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        if layer == self.0 { y.f_zeros_like() } else { Ok(y) }
    }
}

fn head(model: &dyn CausalLm) -> &LayerInfo {
    model.layers().last().unwrap()
}

fn batch() -> Batch {
    let samples = [
        sample(0, vec![3, 141, 59, 26, 53, 58, 97, 93], 4),
        sample(1, vec![23, 84, 62, 6, 43], 1),
        sample(2, vec![38, 32, 79, 50, 28, 8, 41, 9, 71, 69], 8),
    ];
    Batch::new(&samples.each_ref(), Device::Cpu).unwrap()
}

#[test]
fn layers_are_numbered_and_named() {
    for name in FIXTURES {
        let model = model(name, DType::F32);
        let layers = model.layers();
        for (place, layer) in layers.iter().enumerate() {
            assert_eq!(layer.id, LayerId(place), "{name}");
            assert_eq!(layer.head, place + 1 == layers.len(), "{name} {}", layer.name);
            if let Some(weight) = model.parameters().get(&format!("{}.weight", layer.name)) {
                assert_eq!(weight.size(), [layer.out_features, layer.in_features], "{name}");
            } else {
                assert!(layer.head, "{name}: {} has no parameter", layer.name);
            }
            let bias = model.parameters().get(&format!("{}.bias", layer.name));
            assert_eq!(bias.is_some(), layer.bias, "{name} {}", layer.name);
        }
        assert_eq!(head(&*model).name, "lm_head");
        assert_eq!(head(&*model).out_features as usize, model.shape().vocab_size);
    }
}

#[test]
fn every_layer_is_seen_once_in_order() {
    let ids = some_ids(3, 7);
    for name in FIXTURES {
        let model = model(name, DType::F64);
        let mut record = Record::default();
        let hidden = model.hidden(&ids, &mut record).unwrap();
        let logits = model.logits(&hidden.narrow(1, 2, 4), &mut record).unwrap();
        assert_eq!(record.0.len(), model.layers().len(), "{name}");
        for (layer, (id, x, y)) in model.layers().iter().zip(&record.0) {
            let time = if layer.head { 4 } else { 7 };
            assert_eq!(*id, layer.id, "{name}");
            assert_eq!(x.size(), [3, time, layer.in_features], "{name} {}", layer.name);
            assert_eq!(y.size(), [3, time, layer.out_features], "{name} {}", layer.name);
            // The tapped x and y belong together.
            if let Some(weight) = model.parameters().get(&format!("{}.weight", layer.name))
                && !(name == "baichuan2" && layer.head)
            {
                let bias = model.parameters().get(&format!("{}.bias", layer.name));
                assert!(difference(&x.linear(weight, bias), y) < 1e-12, "{name} {}", layer.name);
            }
        }
        assert!(difference(&record.0.last().unwrap().2, &logits) == 0.0, "{name}");
    }
}

#[test]
fn the_output_of_the_tap_is_used() {
    // Zeros from the tap must act exactly like zeros in the weights.
    let ids = some_ids(2, 6);
    for name in FIXTURES {
        let model = model(name, DType::F64);
        let weights = model.parameters().snapshot().unwrap();
        let run = |tap: &mut dyn Tap| {
            tch::no_grad(|| model.logits(&model.hidden(&ids, tap).unwrap(), tap).unwrap())
        };
        let plain = run(&mut NoTap);
        for layer in model.layers() {
            let tapped = run(&mut Silence(layer.id));
            if layer.head {
                assert!(largest(&tapped) == 0.0, "{name}");
                continue;
            }
            tch::no_grad(|| {
                for part in ["weight", "bias"] {
                    let parameter = model.parameters().get(&format!("{}.{part}", layer.name));
                    if let Some(parameter) = parameter {
                        let _ = parameter.shallow_clone().zero_();
                    }
                }
            });
            let zeroed = run(&mut NoTap);
            model.parameters().copy_from(&weights).unwrap();
            assert!(difference(&tapped, &zeroed) < 1e-12, "{name} {}", layer.name);
            assert!(difference(&tapped, &plain) > 1e-6, "{name} {}", layer.name);
        }
        assert!(difference(&run(&mut NoTap), &plain) == 0.0, "{name}: weights are restored");
    }
}

#[test]
fn gradients_at_the_taps_are_those_of_the_weights() {
    // Σ_t g_t x_tᵀ with frozen weights against the gradient LibTorch forms for the weight itself.
    let batch = batch();
    for name in FIXTURES {
        let model = model(name, DType::F64);
        assert!(model.parameters().iter().all(|(_, parameter)| !parameter.requires_grad()));
        let mut record = Record::default();
        let loss = per_sample_loss(&*model, &batch, Reduction::Sum, &mut record).unwrap();
        let outputs: Vec<_> = record.0.iter().map(|(_, _, y)| y).collect();
        let loss = loss.sum(tch::Kind::Double);
        let gradients = Tensor::run_backward(&[&loss], &outputs, false, false);

        model.parameters().set_trainable(true).unwrap();
        let loss = per_sample_loss(&*model, &batch, Reduction::Sum, &mut NoTap).unwrap();
        loss.sum(tch::Kind::Double).backward();
        for ((id, x, y), g) in record.0.iter().zip(&gradients) {
            let layer = &model.layers()[id.0];
            assert_eq!(g.size(), y.size(), "{name} {}", layer.name);
            if layer.head
                && (name == "baichuan2"
                    || name == "llama-tied"
                    || name == "qwen2"
                    || name == "gpt2")
            {
                // A normalised or tied head is not a plain function of one weight.
                continue;
            }
            let flat = |t: &Tensor| t.reshape([-1, *t.size().last().unwrap()]);
            let formed = flat(g).transpose(0, 1).matmul(&flat(x));
            let weight = model.parameters().get(&format!("{}.weight", layer.name)).unwrap();
            let off = difference(&formed, &weight.grad()) / largest(&formed);
            assert!(off < 1e-10, "{name} {}: off by {off}", layer.name);
        }
        model.parameters().set_trainable(false).unwrap();
        assert!(model.parameters().iter().all(|(_, parameter)| !parameter.requires_grad()));
    }
}

#[test]
fn no_graph_without_gradients() {
    let model = model("llama", DType::F32);
    let mut record = Record::default();
    let hidden = tch::no_grad(|| model.hidden(&some_ids(1, 4), &mut record).unwrap());
    assert!(!hidden.requires_grad());
    assert!(record.0.iter().all(|(_, _, y)| !y.requires_grad()));
    let hidden = model.hidden(&some_ids(1, 4), &mut NoTap).unwrap();
    assert!(hidden.requires_grad());
}

#[test]
fn models_can_move_to_other_threads() {
    fn is_send<T: Send>() {}
    is_send::<Box<dyn CausalLm>>();
    is_send::<Batch>();
    let model = model("llama", DType::F32);
    let ids = some_ids(1, 4);
    let here = tch::no_grad(|| model.hidden(&ids, &mut NoTap).unwrap());
    let there =
        std::thread::spawn(move || tch::no_grad(|| model.hidden(&ids, &mut NoTap).unwrap()));
    assert!(difference(&here, &there.join().unwrap()) < 1e-6);
}
