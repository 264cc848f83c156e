//! Conjugate gradients against dense solves, and how they end.

use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{GradientPass, PassParams};
use tamis_influence::exact::dense_gauss_newton;
use tamis_influence::{
    ConjugateGradient, GaussNewton, GaussNewtonParams, InfluenceError, Refinement, Residuals, Seeds,
};
use tamis_kfac::{Curvature, Damping, FactorFit, FitParams, Identity, KfacError, Spectral, Tokens};
use tamis_model::{CausalLm, LayerInfo};
use tch::{Kind, Tensor};

use crate::common::{model, samples};
use crate::gauss_newton::{CHOSEN, few};

struct Case {
    model: Box<dyn CausalLm>,
    layers: Vec<LayerInfo>,
    pool: Vec<Encoded>,
    seeds: Vec<Encoded>,
}

impl Case {
    fn new(number: usize) -> Self {
        let (name, chosen) = CHOSEN[number];
        let (model, layers) = model(name);
        let layers = few(&layers, &chosen);
        let (pool, seeds) = (samples(model.as_ref(), 3, 31), samples(model.as_ref(), 2, 32));
        Self { model, layers, pool, seeds }
    }

    fn pass(&self) -> GradientPass<'_> {
        let params = PassParams::default();
        GradientPass { model: self.model.as_ref(), layers: &self.layers, params }
    }

    fn kfac(&self) -> Spectral {
        let model = self.model.as_ref();
        let fit = FactorFit { model, layers: &self.layers, params: FitParams::default() };
        let factors = fit.sum(&samples(model, 40, 33), &mut NoProgress).unwrap();
        Spectral::kfac(&factors, Damping::Relative(3.0), Kind::Double).unwrap()
    }

    fn matrix(&self) -> GaussNewton<'_> {
        let params = GaussNewtonParams::default();
        GaussNewton::new(self.model.as_ref(), &self.layers, &Encodings::of(&self.pool), params)
            .unwrap()
    }
}

fn dampings(kfac: &Spectral) -> Vec<f64> {
    kfac.spectra().iter().map(|spectrum| spectrum.damping).collect()
}

fn run(
    case: &Case,
    damping: &[f64],
    preconditioner: &dyn Curvature,
    method: ConjugateGradient,
) -> Result<(Seeds, Residuals), InfluenceError> {
    let matrix = case.matrix();
    let damping = damping.to_vec();
    let refinement = Refinement { matrix: &matrix, damping, preconditioner, method };
    refinement.run(&case.pass(), &case.seeds, &mut NoProgress)
}

/// All layers of all seeds, end to end.
fn flat(seeds: &Seeds) -> Tensor {
    let parts = seeds.layers().iter().map(|l| seeds.layer(l.id).unwrap().flatten(1, -1));
    Tensor::cat(&parts.collect::<Vec<_>>(), 1)
}

fn error(found: &Seeds, expected: &Seeds) -> f64 {
    let expected = flat(expected);
    let rows = [1i64].as_slice();
    let norms = (flat(found) - &expected).norm_scalaropt_dim(2.0, rows, false)
        / expected.norm_scalaropt_dim(2.0, rows, false);
    norms.max().double_value(&[])
}

#[test]
fn enough_steps_give_the_dense_damped_solution() {
    for (number, (name, _)) in CHOSEN.into_iter().enumerate() {
        let case = Case::new(number);
        let kfac = case.kfac();
        let damping = dampings(&kfac);
        let (model, layers) = (case.model.as_ref(), &case.layers);
        let dense = dense_gauss_newton(model, layers, &case.pool, Tokens::Expand).unwrap();
        let plain = Seeds::new(&case.pass(), &case.seeds, &Identity).unwrap();
        let exact = dense.solve(&damping, &plain).unwrap();
        // Whatever the preconditioner, the system is the same.
        let preconditioners = [&kfac as &dyn Curvature, &Identity];
        for &preconditioner in &preconditioners[..if number == 2 { 2 } else { 1 }] {
            let method = ConjugateGradient { steps: 300, tolerance: 1e-11 };
            let (found, residuals) = run(&case, &damping, preconditioner, method).unwrap();
            assert_eq!(found.ids(), plain.ids());
            let error = error(&found, &exact);
            assert!(error < 1e-8, "{name}: {error:e}");
            for path in &residuals.relative {
                assert!(path.len() < 300, "{} steps", path.len());
                assert!(path[path.len() - 1] <= 1e-11);
                assert!(path[..path.len() - 1].iter().all(|&r| r > 1e-11));
            }
        }
        // What is reported is the residual and the gain of the answer.
        let few = ConjugateGradient { steps: 3, tolerance: 0.0 };
        let (found, residuals) = run(&case, &damping, &kfac, few).unwrap();
        let vectors: Vec<Vec<Tensor>> = (0..2)
            .map(|n| layers.iter().map(|l| found.layer(l.id).unwrap().get(n)).collect())
            .collect();
        let products = case.matrix().product(&vectors).unwrap();
        for (n, (vector, product)) in vectors.iter().zip(&products).enumerate() {
            let (mut left, mut all, mut gain) = (0.0, 0.0, 0.0);
            for (l, layer) in layers.iter().enumerate() {
                let b = plain.layer(layer.id).unwrap().get(n as i64);
                let r = &b - &product[l] - &vector[l] * damping[l];
                left += r.square().sum(Kind::Double).double_value(&[]);
                all += b.square().sum(Kind::Double).double_value(&[]);
                // 2 bᵀz − zᵀ(H + D)z = zᵀ(b + r).
                gain += (&vector[l] * (b + r)).sum(Kind::Double).double_value(&[]);
            }
            assert!((residuals.gains[n][3] - gain).abs() < 1e-10 * gain.abs());
            let reported = residuals.relative[n][3];
            assert!(((left / all).sqrt() - reported).abs() < 1e-10 * reported);
        }
    }
}

#[test]
fn no_step_leaves_the_preconditioners_answer() {
    let case = Case::new(0);
    let kfac = case.kfac();
    let method = ConjugateGradient { steps: 0, tolerance: 0.0 };
    let (found, residuals) = run(&case, &dampings(&kfac), &kfac, method).unwrap();
    let expected = Seeds::new(&case.pass(), &case.seeds, &kfac).unwrap();
    assert!(error(&found, &expected) < 1e-14);
    assert!(residuals.relative.iter().all(|path| path.len() == 1 && path[0] > 0.0));

    // No curvature hands back what it is given: the gradients must still not be overwritten.
    let (found, _) = run(&case, &dampings(&kfac), &Identity, method).unwrap();
    let expected = Seeds::new(&case.pass(), &case.seeds, &Identity).unwrap();
    assert_eq!(flat(&found), flat(&expected));
}

#[test]
fn a_few_steps_come_nearer_and_residuals_fall() {
    for (number, (name, _)) in CHOSEN.into_iter().enumerate() {
        let case = Case::new(number);
        let kfac = case.kfac();
        let damping = dampings(&kfac);
        let (model, layers) = (case.model.as_ref(), &case.layers);
        let dense = dense_gauss_newton(model, layers, &case.pool, Tokens::Expand).unwrap();
        let plain = Seeds::new(&case.pass(), &case.seeds, &Identity).unwrap();
        let exact = dense.solve(&damping, &plain).unwrap();
        let mut before = f64::INFINITY;
        // The first step is never a loss against the preconditioner's answer.
        for steps in [0, 1, 4, 12] {
            let method = ConjugateGradient { steps, tolerance: 0.0 };
            let (found, residuals) = run(&case, &damping, &kfac, method).unwrap();
            let now = error(&found, &exact);
            assert!(now < before, "{name}: {now} after {steps}, {before} before");
            before = now;
            for path in residuals.relative {
                assert_eq!(path.len(), steps + 1);
                assert!(steps == 0 || path[steps] < path[0], "{path:?}");
            }
            for path in residuals.gains {
                assert!(path.is_sorted_by(|a, b| a < b), "{path:?}");
            }
        }
    }
}

/// The dense inverse of one layer's system, times something.
struct TooLong(Tensor, f64);

impl Curvature for TooLong {
    fn solve(&self, _layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        Ok((g.flatten(1, -1).matmul(&self.0) * self.1).view_as(g))
    }

    fn damping(&self, _layer: &LayerInfo) -> Result<f64, KfacError> {
        Ok(0.01)
    }
}

#[test]
fn a_preconditioner_of_the_wrong_length_is_put_right_at_once() {
    let mut case = Case::new(0);
    case.layers.truncate(1);
    let (model, layers) = (case.model.as_ref(), &case.layers);
    let dense = dense_gauss_newton(model, layers, &case.pool, Tokens::Expand).unwrap();
    let plain = Seeds::new(&case.pass(), &case.seeds, &Identity).unwrap();
    let exact = dense.solve(&[0.01], &plain).unwrap();
    let inverse = dense.damped_inverse(&[0.01]).unwrap();
    let inverse = Tensor::from_slice(inverse.as_slice()).view([512, 512]);
    let method = ConjugateGradient { steps: 5, tolerance: 1e-9 };
    for (length, steps) in [(1.0, 0), (50.0, 1)] {
        let preconditioner = TooLong(inverse.shallow_clone(), length);
        let (found, residuals) = run(&case, &[0.01], &preconditioner, method).unwrap();
        assert!(error(&found, &exact) < 1e-9);
        for (path, gains) in residuals.relative.iter().zip(&residuals.gains) {
            assert_eq!((path.len(), gains.len()), (steps + 1, steps + 1));
            // Of a multiple c of the solution the residual is c − 1, and the gain c (2 − c) of the most.
            assert!((path[0] - (length - 1.0)).abs() < 1e-9 * length);
            let most = gains[steps];
            assert!(
                (gains[0] - most * length * (2.0 - length)).abs() < 1e-9 * length * length * most
            );
        }
    }
}

#[test]
fn seeds_do_not_depend_on_each_other() {
    let mut case = Case::new(1);
    let kfac = case.kfac();
    let damping = dampings(&kfac);
    // Loose enough for the seeds to be done after different numbers of steps.
    let method = ConjugateGradient { steps: 40, tolerance: 0.03 };
    let (together, residuals) = run(&case, &damping, &kfac, method).unwrap();
    let steps: Vec<usize> = residuals.relative.iter().map(Vec::len).collect();
    let all = case.seeds.clone();
    for (n, seed) in all.iter().enumerate() {
        case.seeds = vec![seed.clone()];
        let (alone, own) = run(&case, &damping, &kfac, method).unwrap();
        assert_eq!(own.relative[0].len(), steps[n]);
        let expected = flat(&alone).get(0);
        let error = (flat(&together).get(n as i64) - &expected).norm().double_value(&[]);
        // Conjugate gradients amplify what sums in another order differ by.
        assert!(error < 1e-6 * expected.norm().double_value(&[]), "{error:e}");
    }
}

/// Counts what it is told.
#[derive(Default)]
struct Count(u64, u64);

impl Progress for Count {
    fn start(&mut self, stage: &Stage<'_>) {
        self.0 = stage.total;
    }
    fn advance(&mut self, by: u64) {
        self.1 += by;
    }
}

#[test]
fn progress_is_told_in_steps() {
    let case = Case::new(2);
    let (kfac, matrix) = (case.kfac(), case.matrix());
    let method = ConjugateGradient { steps: 2, tolerance: 0.0 };
    let refinement = Refinement::new(&matrix, &kfac, method).unwrap();
    assert_eq!(refinement.damping, dampings(&kfac));
    let mut count = Count::default();
    refinement.run(&case.pass(), &case.seeds, &mut count).unwrap();
    assert_eq!((count.0, count.1), (3, 3));
}

/// A curvature that is not positive.
struct Opposite;

impl Curvature for Opposite {
    fn solve(&self, _layer: &LayerInfo, g: &Tensor) -> Result<Tensor, KfacError> {
        Ok(-g)
    }

    fn damping(&self, _layer: &LayerInfo) -> Result<f64, KfacError> {
        Ok(0.0)
    }
}

#[test]
fn what_cannot_go_on_says_so() {
    let case = Case::new(0);
    let damping = [1e-3, 1e-3];
    let method = ConjugateGradient::default();
    let error = run(&case, &damping, &Opposite, method).unwrap_err();
    assert!(
        matches!(&error, InfluenceError::Breakdown { id, step: 0, .. } if id == "32-0"),
        "{error}"
    );
    assert!(matches!(run(&case, &[1e-3], &Identity, method), Err(InfluenceError::Mismatch { .. })));
    for wrong in [0.0, -1e-3, f64::NAN] {
        let refused = run(&case, &[1e-3, wrong], &Identity, method);
        assert!(matches!(refused, Err(InfluenceError::Parameter(_))), "{wrong}");
    }
    let method = ConjugateGradient { tolerance: f64::NAN, ..method };
    assert!(
        matches!(method.check(), Err(InfluenceError::Parameter(error)) if error.name == "tolerance")
    );

    let matrix = case.matrix();
    let method = ConjugateGradient::default();
    let refinement = Refinement {
        matrix: &matrix,
        damping: damping.to_vec(),
        preconditioner: &Identity,
        method,
    };
    let pass = GradientPass { layers: &case.layers[..1], ..case.pass() };
    let error = refinement.run(&pass, &case.seeds, &mut NoProgress).unwrap_err();
    assert!(error.to_string().contains("layers of the seeds"), "{error}");
}
