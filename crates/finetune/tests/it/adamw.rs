//! The optimizer against a plain loop and against LibTorch's own.

use tamis_finetune::{AdamW, AdamWParams, Decay, FinetuneError};
use tch::{COptimizer, Device, Kind, Tensor};

const STEPS: usize = 6;

/// Gradients that change sign and scale from step to step.
fn gradient(step: usize, shape: &[i64], kind: Kind) -> Tensor {
    let len: i64 = shape.iter().product();
    let index = Tensor::arange(len, (Kind::Double, Device::Cpu)) + 1.0;
    let wave = (index * (1.7 + step as f64)).sin() * 10f64.powi(1 - step as i32);
    wave.reshape(shape).to_kind(kind)
}

fn start(shape: &[i64], kind: Kind) -> Tensor {
    let len: i64 = shape.iter().product();
    (Tensor::arange(len, (Kind::Double, Device::Cpu)) * 0.37).cos().reshape(shape).to_kind(kind)
}

fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.detach().flatten(0, -1).to_kind(Kind::Double)).unwrap()
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The update as the paper writes it, one number at a time.
fn naive(params: AdamWParams, shape: &[i64], rates: &[f64], scale: f64) -> Vec<f64> {
    let (beta1, beta2) = params.betas;
    let decays = params.decay == Decay::All || shape.len() > 1;
    let mut weights = values(&start(shape, Kind::Double));
    let mut moments = vec![(0.0, 0.0); weights.len()];
    for (k, &rate) in rates.iter().enumerate() {
        let t = k as i32 + 1;
        let gradient = values(&gradient(k, shape, Kind::Double));
        for ((weight, (m, v)), g) in weights.iter_mut().zip(&mut moments).zip(gradient) {
            let g = scale * g;
            if decays {
                *weight -= rate * params.weight_decay * *weight;
            }
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            let (m_hat, v_hat) = (*m / (1.0 - beta1.powi(t)), *v / (1.0 - beta2.powi(t)));
            *weight -= rate * m_hat / (v_hat.sqrt() + params.eps);
        }
    }
    weights
}

fn ours(params: AdamWParams, shape: &[i64], kind: Kind, rates: &[f64], scale: f64) -> Vec<f64> {
    let mut weights = [start(shape, kind)];
    let mut optimizer = AdamW::new(params, [("weight", &weights[0])]).unwrap();
    for (k, &rate) in rates.iter().enumerate() {
        let mut gradients = [gradient(k, shape, kind)];
        optimizer.step(&mut weights, &mut gradients, rate, scale).unwrap();
    }
    assert_eq!(optimizer.steps(), rates.len() as u64);
    values(&weights[0])
}

fn settings() -> AdamWParams {
    AdamWParams { betas: (0.8, 0.97), eps: 1e-6, weight_decay: 0.3, decay: Decay::Matrices }
}

#[test]
fn equals_the_paper_in_f64() {
    let rates = [0.0, 1e-2, 3e-2, 2e-2, 1e-2, 1e-3];
    for shape in [vec![7], vec![5, 3], vec![301, 103], vec![2, 3, 4]] {
        for decay in [Decay::Matrices, Decay::All] {
            for scale in [1.0, 0.25] {
                let params = AdamWParams { decay, ..settings() };
                let expected = naive(params, &shape, &rates, scale);
                let found = ours(params, &shape, Kind::Double, &rates, scale);
                let difference = largest_difference(&expected, &found);
                assert!(difference < 1e-12, "{shape:?} {decay:?} {scale}: {difference:e}");
                assert!(
                    largest_difference(&expected, &values(&start(&shape, Kind::Double))) > 1e-2
                );
            }
        }
    }
}

#[test]
fn equals_libtorch_in_f32() {
    let AdamWParams { betas: (beta1, beta2), eps, weight_decay, .. } = settings();
    for shape in [vec![9], vec![31, 70]] {
        let weight = start(&shape, Kind::Float).set_requires_grad(true);
        let mut theirs = COptimizer::adamw(2e-2, beta1, beta2, weight_decay, eps, false).unwrap();
        theirs.add_parameters(&weight, 0).unwrap();
        for k in 0..STEPS {
            theirs.zero_grad().unwrap();
            (&weight * gradient(k, &shape, Kind::Float)).sum(Kind::Float).backward();
            theirs.step().unwrap();
        }
        let params = AdamWParams { decay: Decay::All, ..settings() };
        let found = ours(params, &shape, Kind::Float, &[2e-2; STEPS], 1.0);
        let difference = largest_difference(&values(&weight), &found);
        assert!(difference < 1e-6, "{shape:?}: {difference:e}");
    }
}

#[test]
fn a_parameter_that_is_not_contiguous_is_updated_in_place() {
    let shape = [6, 11];
    let stored = start(&shape, Kind::Double).tr().contiguous();
    let mut weights = [stored.tr()];
    assert!(!weights[0].is_contiguous());
    let mut optimizer = AdamW::new(settings(), [("weight", &weights[0])]).unwrap();
    let rates = [1e-2; STEPS];
    for (k, &rate) in rates.iter().enumerate() {
        let mut gradients = [gradient(k, &shape, Kind::Double)];
        optimizer.step(&mut weights, &mut gradients, rate, 1.0).unwrap();
    }
    let expected = naive(settings(), &shape, &rates, 1.0);
    assert!(largest_difference(&expected, &values(&stored.tr())) < 1e-12);
}

#[test]
fn moments_have_names_and_published_values() {
    let mut weights = [start(&[3], Kind::Double), start(&[2, 2], Kind::Double)];
    let named = ["norm.weight", "proj.weight"];
    let mut optimizer = AdamW::new(settings(), named.into_iter().zip(&weights)).unwrap();
    let mut gradients = [gradient(0, &[3], Kind::Double), gradient(0, &[2, 2], Kind::Double)];
    let before = values(&gradients[1]);
    optimizer.step(&mut weights, &mut gradients, 1e-3, 1.0).unwrap();
    let moments = optimizer.moments();
    assert_eq!(moments.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), named);
    let first: Vec<f64> = before.iter().map(|g| 0.2 * g).collect();
    let second: Vec<f64> = before.iter().map(|g| 0.03 * g * g).collect();
    assert!(largest_difference(&values(&moments[1].first), &first) < 1e-14);
    assert!(largest_difference(&values(&moments[1].second), &second) < 1e-14);
}

#[test]
fn half_precision_is_refused_by_name() {
    let weight = start(&[4, 4], Kind::BFloat16);
    let error = AdamW::new(settings(), [("proj.weight", &weight)]).unwrap_err();
    assert!(error.to_string().starts_with("parameter `proj.weight` is kept as BFloat16"));
}

#[test]
fn other_tensors_than_it_was_made_for_are_refused() {
    let mut weights = [start(&[4], Kind::Float)];
    let mut optimizer = AdamW::new(settings(), [("w", &weights[0])]).unwrap();
    let error = optimizer.step(&mut weights, &mut [], 1e-3, 1.0).unwrap_err();
    assert!(matches!(error, FinetuneError::Mismatch { .. }), "{error}");
    let mut gradients = [gradient(0, &[5], Kind::Float)];
    let error = optimizer.step(&mut weights, &mut gradients, 1e-3, 1.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the optimizer holds moments for `w` of shape [4], but was given [4] with gradient [5]"
    );
    assert_eq!(optimizer.steps(), 0);
}
