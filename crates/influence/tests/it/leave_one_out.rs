//! Influence against training again without a sample, on a model whose optimum is unique.

use nalgebra::{DMatrix, DVector};
use tamis_artifact::NoProgress;
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{GradientPass, PassParams};
use tamis_influence::exact::dense_gauss_newton;
use tamis_influence::{ConjugateGradient, GaussNewton, GaussNewtonParams, Refinement, Seeds};
use tamis_kfac::{Damping, FactorFit, FitParams, Identity, Spectral, Tokens};
use tamis_model::CausalLm;
use tamis_model::Reduction;
use tch::{Kind, Tensor};

use crate::softmax::SoftmaxRegression;

const WORDS: usize = 10;
const COLUMNS: usize = 6;
/// Of `‖W‖² / 2`.
const DECAY: f64 = 3e-3;

/// `(1/N) Σ_pairs −log p(next | token) + (DECAY/2) ‖W‖²` with its derivatives, in nalgebra.
struct Regression {
    /// x̃ of each token.
    inputs: Vec<DVector<f64>>,
    /// `N`: every token of the data, as in the curvature.
    tokens: f64,
}

impl Regression {
    fn log_probs(&self, weight: &DVector<f64>, token: usize) -> DVector<f64> {
        let logits = DVector::from_fn(WORDS, |v, _| {
            weight.rows(v * COLUMNS, COLUMNS).dot(&self.inputs[token])
        });
        let top = logits.max();
        let total = logits.map(|l| (l - top).exp()).sum().ln() + top;
        logits.add_scalar(-total)
    }

    /// Newton's method, from `start`, to a gradient of rounding size. `pairs[(a, b)]` counts how
    /// often `b` follows `a`.
    fn fit(&self, pairs: &DMatrix<f64>, start: &DVector<f64>) -> DVector<f64> {
        let mut weight = start.clone();
        for _ in 0..50 {
            let mut gradient = &weight * DECAY;
            let mut hessian = DMatrix::identity(WORDS * COLUMNS, WORDS * COLUMNS) * DECAY;
            for (token, x) in self.inputs.iter().enumerate() {
                let p = self.log_probs(&weight, token).map(f64::exp);
                let seen = pairs.row(token).sum() / self.tokens;
                let missing = &p * seen - pairs.row(token).transpose() / self.tokens;
                gradient += missing.kronecker(x);
                let b = (DMatrix::from_diagonal(&p) - &p * p.transpose()) * seen;
                hessian += b.kronecker(&(x * x.transpose()));
            }
            if gradient.norm() < 1e-13 {
                return weight;
            }
            weight -= hessian.cholesky().unwrap().solve(&gradient);
        }
        panic!("Newton's method has not converged");
    }

    fn loss(&self, weight: &DVector<f64>, sample: &Encoded) -> f64 {
        let targets = sample.ids.windows(2);
        targets.map(|p| -self.log_probs(weight, p[0] as usize)[p[1] as usize]).sum()
    }
}

fn pairs(data: &[Encoded]) -> DMatrix<f64> {
    let mut counts = DMatrix::zeros(WORDS, WORDS);
    for pair in data.iter().flat_map(|sample| sample.ids.windows(2)) {
        counts[(pair[0] as usize, pair[1] as usize)] += 1.0;
    }
    counts
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let centred = |v: &[f64]| {
        let v = DVector::from_column_slice(v);
        v.add_scalar(-v.mean())
    };
    let (a, b) = (centred(a), centred(b));
    a.dot(&b) / (a.norm() * b.norm())
}

#[test]
fn influence_is_what_leaving_a_sample_out_does() {
    let mut model = SoftmaxRegression::new(WORDS as i64, COLUMNS as i64 - 1, 41);
    let (data, seeds) = (model.samples(60, 7, 42), model.samples(4, 7, 43));
    let inputs = model.inputs();
    let tokens: usize = data.iter().map(|s| s.ids.len()).sum();
    let regression = Regression { inputs, tokens: tokens as f64 };
    let optimum = regression.fit(&pairs(&data), &DVector::zeros(WORDS * COLUMNS));
    model.weight = Tensor::from_slice(optimum.as_slice()).view([WORDS as i64, COLUMNS as i64]);

    // What happens to each seed's loss when a sample is left out, all else equal.
    let mut true_changes = vec![Vec::new(); seeds.len()];
    for sample in &data {
        let without = pairs(&data) - pairs(std::slice::from_ref(sample));
        let weight = regression.fit(&without, &optimum);
        for (changes, seed) in true_changes.iter_mut().zip(&seeds) {
            changes.push(regression.loss(&weight, seed) - regression.loss(&optimum, seed));
        }
    }

    // At the optimum of a convex model H + D, with D the decay, is the Hessian of what was trained.
    let layers = &model.layers()[..1];
    let params = PassParams { reduction: Reduction::Sum, ..PassParams::default() };
    let pass = GradientPass { model: &model, layers, params };
    let plain = Seeds::new(&pass, &seeds, &Identity).unwrap();
    let dense = dense_gauss_newton(&model, layers, &data, Tokens::Expand).unwrap();
    let exact = dense.solve(&[DECAY], &plain).unwrap();
    let fit = FactorFit { model: &model, layers, params: FitParams::default() };
    let factors = fit.sum(&data, &mut NoProgress).unwrap();
    let kfac = Spectral::kfac(&factors, Damping::Absolute(DECAY), Kind::Double).unwrap();
    let approximate = Seeds::new(&pass, &seeds, &kfac).unwrap();
    let matrix =
        GaussNewton::new(&model, layers, &Encodings::of(&data), GaussNewtonParams::default())
            .unwrap();
    let method = ConjugateGradient { steps: 100, tolerance: 1e-10 };
    let refinement = Refinement::new(&matrix, &kfac, method).unwrap();
    let (refined, _) = refinement.run(&pass, &seeds, &mut NoProgress).unwrap();

    let scores = |seeds: &Seeds| -> Vec<Vec<f64>> {
        let rows = pass.rows_of(&data, seeds).unwrap().rows.to_kind(Kind::Double);
        (0..4).map(|n| Vec::<f64>::try_from(rows.select(1, n)).unwrap()).collect()
    };
    let (exact, approximate, refined) = (scores(&exact), scores(&approximate), scores(&refined));
    for (n, changes) in true_changes.iter().enumerate() {
        let with_exact = correlation(&exact[n], changes);
        let with_kfac = correlation(&approximate[n], changes);
        println!("seed {n}: exact {with_exact:.4}, K-FAC {with_kfac:.4}");
        assert!(with_exact > 0.99, "seed {n}: {with_exact}");
        assert!(with_kfac > 0.5 && with_kfac < with_exact, "seed {n}: {with_kfac}");
        let largest = changes.iter().map(|c| c.abs()).fold(0.0, f64::max);
        for (k, &change) in changes.iter().enumerate() {
            // Without a helpful sample (a positive score) the seed's loss is higher.
            let (predicted, score) = (exact[n][k] / regression.tokens, exact[n][k]);
            if change.abs() > 0.2 * largest {
                assert!(predicted * change > 0.0, "seed {n}, sample {k}: {predicted} {change}");
            }
            assert!((refined[n][k] - score).abs() < 1e-6 * score.abs().max(1.0));
        }
        // Not the order alone: the predicted change itself, to first order.
        let slope = changes.iter().zip(&exact[n]).map(|(c, s)| c * s).sum::<f64>()
            / exact[n].iter().map(|s| s * s).sum::<f64>()
            * regression.tokens;
        assert!((slope - 1.0).abs() < 0.2, "seed {n}: slope {slope}");
    }
}
