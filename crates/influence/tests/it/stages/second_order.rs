//! The Hessian of the loss against second differences of the loss, and against Gauss–Newton.

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_dataset::Encodings;
use tamis_gradients::gradient_columns;
use tamis_influence::{GaussNewton, GaussNewtonParams, Hessian, InfluenceError, LossHessian};
use tamis_kfac::Tokens;
use tamis_model::{Batch, CausalLm, LayerId, LayerInfo, Reduction, Tap, per_sample_loss};
use tch::{Kind, TchError, Tensor};

use crate::common::{model, samples};
use crate::gauss_newton::{CHOSEN, few};
use crate::softmax::SoftmaxRegression;

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

fn dot(a: &[Tensor], b: &[Tensor]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a * b).sum(Kind::Double).double_value(&[])).sum()
}

/// Moves the weights of several layers at once.
struct Shift<'a>(&'a [LayerInfo], &'a [Tensor], f64);

impl Tap for Shift<'_> {
    fn linear(&mut self, id: LayerId, x: &Tensor, y: Tensor) -> Result<Tensor, TchError> {
        let Some(n) = self.0.iter().position(|layer| layer.id == id) else { return Ok(y) };
        let (v, inputs) = (&self.1[n] * self.2, self.0[n].in_features);
        let moved = x.f_linear(&v.narrow(1, 0, inputs), None::<Tensor>)?;
        Ok(y + if self.0[n].bias { moved + v.select(1, inputs) } else { moved })
    }
}

#[test]
fn products_are_second_differences_of_the_loss() {
    for (name, chosen) in CHOSEN {
        let (model, layers) = model(name);
        let layers = few(&layers, &chosen);
        let data = samples(model.as_ref(), 5, 51);
        let tokens: usize = data.iter().map(|s| s.ids.len()).sum();
        let params = GaussNewtonParams { tokens: Tokens::Expand, token_budget: 20 };
        let matrix =
            LossHessian::new(model.as_ref(), &layers, &Encodings::of(&data), params).unwrap();
        let [u, v] = [52, 53].map(|seed| vector(&layers, seed));
        let both = [u, v];
        let products = matrix.product(&both).unwrap();
        let rows: Vec<_> = data.iter().collect();
        let batch = Batch::new(&rows, model.shape().device).unwrap();
        let loss = |by: f64| {
            let mut tap = Shift(&layers, &both[0], by);
            let loss = per_sample_loss(model.as_ref(), &batch, Reduction::Sum, &mut tap);
            loss.unwrap().sum(Kind::Double).double_value(&[]) / tokens as f64
        };
        let _no_grad = tch::no_grad_guard();
        let step = 1e-3;
        // Fourth order, so that the step can be large enough for the rounding of the loss.
        let near = loss(step) + loss(-step);
        let far = loss(2.0 * step) + loss(-2.0 * step);
        let expected = (16.0 * near - far - 30.0 * loss(0.0)) / (12.0 * step * step);
        let found = dot(&both[0], &products[0]);
        let wrong = (found - expected).abs() / expected.abs();
        assert!(wrong < 1e-6, "{name}: {found} {expected}");
        // Symmetric, and not what Gauss–Newton has.
        let mirror = dot(&both[1], &products[0]) / dot(&both[0], &products[1]);
        assert!((mirror - 1.0).abs() < 1e-9, "{name}: {mirror}");
        let without =
            GaussNewton::new(model.as_ref(), &layers, &Encodings::of(&data), params).unwrap();
        let without = without.product(&both).unwrap();
        assert!((dot(&both[0], &without[0]) / found - 1.0).abs() > 1e-3, "{name}");
        // No matter how the samples are batched.
        let params = GaussNewtonParams { token_budget: 4096, ..params };
        let whole =
            LossHessian::new(model.as_ref(), &layers, &Encodings::of(&data), params).unwrap();
        let whole = dot(&both[1], &whole.product(&both).unwrap()[0]);
        assert!((whole / dot(&both[1], &products[0]) - 1.0).abs() < 1e-9, "{name}");
    }
}

#[test]
fn where_logits_are_linear_in_the_weights_both_are_the_same() {
    let model = SoftmaxRegression::new(6, 3, 54).with_a_head(55);
    let layers = &model.layers()[..1];
    let (data, params) = (model.samples(6, 5, 56), GaussNewtonParams::default());
    let vectors = [vector(layers, 57)];
    let bent = LossHessian::new(&model, layers, &Encodings::of(&data), params).unwrap();
    let straight = GaussNewton::new(&model, layers, &Encodings::of(&data), params).unwrap();
    let [bent, straight] = [bent.product(&vectors).unwrap(), straight.product(&vectors).unwrap()];
    let difference = (&bent[0][0] - &straight[0][0]).norm().double_value(&[]);
    assert!(difference < 1e-12 * straight[0][0].norm().double_value(&[]), "{difference:e}");
    // A vector of another shape is refused.
    let matrix = LossHessian::new(&model, layers, &Encodings::of(&data), params).unwrap();
    let error = matrix.product(&[vec![Tensor::zeros([6, 3], (Kind::Double, tch::Device::Cpu))]]);
    assert!(matches!(error, Err(InfluenceError::Mismatch { .. })));
}
