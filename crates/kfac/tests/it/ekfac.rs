//! Second moments against naive loops and dense Fisher matrices.

use nalgebra::{DMatrix, DVector};
use tamis_gradients::LayerTrace;
use tamis_kfac::{
    Curvature, Damping, Eigenbasis, Factors, KfacError, SecondMoments, Spectral, Sums, Tokens,
};
use tamis_model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::exact::{dense, flat, layer, random};

const AT: (Kind, Device) = (Kind::Double, Device::Cpu);

/// Traces of three layers, the first two of which read one input, with a mask of ones.
fn traces(rows: i64, time: i64) -> (Vec<LayerInfo>, Vec<LayerTrace>, Tensor) {
    let infos = vec![layer(0, 4, 3, true), layer(1, 4, 6, true), layer(2, 5, 4, false)];
    let shared = random(&[rows, time, 4], 1);
    let traces = infos
        .iter()
        .map(|info| {
            let of = info.id.0 as u64;
            let x = if of < 2 { shared.shallow_clone() } else { random(&[rows, time, 5], 2) };
            LayerTrace::new(info.clone(), x, random(&[rows, time, info.out_features], 10 + of))
        })
        .collect();
    (infos, traces, Tensor::ones([rows, time], AT))
}

fn fitted(rows: i64, time: i64, tokens: Tokens) -> (Factors, Eigenbasis, SecondMoments) {
    let (infos, traces, mask) = traces(rows, time);
    let mut factors = Factors::zeros(&infos, Kind::Double, Device::Cpu).unwrap();
    factors.add(&traces, &mask, tokens).unwrap();
    let basis = Eigenbasis::of(&factors, Kind::Double).unwrap();
    let mut moments = SecondMoments::zeros(&infos, Some(&basis), AT.0, AT.1).unwrap();
    moments.add(&traces, &mask, tokens).unwrap();
    (factors, basis, moments)
}

/// Short and long texts take different orders of the same products.
#[test]
fn moments_equal_a_loop_over_samples_whatever_is_multiplied_first() {
    for (rows, time) in [(5, 2), (3, 9), (4, 5), (1, 1)] {
        for tokens in [Tokens::Expand, Tokens::Reduce] {
            let (infos, traces, mask) = traces(rows, time);
            let (_, basis, moments) = fitted(rows, time, tokens);
            let mut plain = SecondMoments::zeros(&infos, None, AT.0, AT.1).unwrap();
            plain.add(&traces, &mask, tokens).unwrap();
            let draws = if tokens == Tokens::Expand { rows * time } else { rows } as f64;
            for (n, trace) in traces.iter().enumerate() {
                let entry = basis.layer(n).unwrap();
                let formed = trace.formed().unwrap();
                let (mut squares, mut rotated) =
                    (Tensor::zeros_like(&formed.get(0)), Tensor::zeros_like(&formed.get(0)));
                for row in 0..rows {
                    let g = formed.get(row);
                    squares += g.square();
                    let turned = entry.s.vectors.tr().matmul(&g).matmul(&entry.a.vectors);
                    rotated += turned.square();
                }
                for (found, expected) in [
                    (plain.mean(n).unwrap(), squares / draws),
                    (moments.mean(n).unwrap(), rotated / draws),
                ] {
                    let error = (found - &expected).norm().double_value(&[]);
                    assert!(error < 1e-12 * expected.norm().double_value(&[]), "layer {n}");
                }
            }
        }
    }
}

/// EK-FAC is the best diagonal in K-FAC's basis (arXiv 1806.03884, proposition 1): its eigenvalues are
/// the diagonal of `Qᵀ F Q`, and it is nearer to the dense Fisher matrix `F` than K-FAC.
#[test]
fn ekfac_is_the_diagonal_of_the_dense_fisher_in_its_basis() {
    let (rows, time) = (7, 3);
    let (_, traces, _) = traces(rows, time);
    let (factors, basis, moments) = fitted(rows, time, Tokens::Expand);
    for (n, trace) in traces.iter().enumerate() {
        let size = trace.formed().unwrap().get(0).numel();
        let mut fisher = DMatrix::zeros(size, size);
        for row in 0..rows {
            let g = flat(&trace.formed().unwrap().get(row));
            fisher += &g * g.transpose() / (rows * time) as f64;
        }
        let entry = basis.layer(n).unwrap();
        let q = dense(&entry.s.vectors).kronecker(&dense(&entry.a.vectors));
        let turned = q.transpose() * &fisher * &q;
        let lambda = flat(&moments.mean(n).unwrap());
        assert!((turned.diagonal() - &lambda).norm() < 1e-12 * lambda.norm());

        let sums = factors.layer(n).unwrap();
        let (a, s) = (dense(&(sums.a / factors.count())), dense(&(sums.s / factors.count())));
        let ekfac = &q * DMatrix::from_diagonal(&lambda) * q.transpose();
        let (by_ekfac, by_kfac) = ((&fisher - ekfac).norm(), (&fisher - s.kronecker(&a)).norm());
        assert!(by_ekfac < by_kfac, "{by_ekfac} {by_kfac}");
        // The trace is that of the Fisher matrix: the mean squared norm of a gradient.
        assert!((lambda.sum() - fisher.trace()).abs() < 1e-12 * fisher.trace());
    }
}

/// Solves and quadratic forms against the dense inverse of what EK-FAC stands for.
#[test]
fn solves_equal_dense_inverses_and_leave_no_trace() {
    let (factors, basis, moments) = fitted(6, 2, Tokens::Expand);
    let layers = factors.layers();
    let mut plain = SecondMoments::zeros(layers, None, AT.0, AT.1).unwrap();
    let (_, traces, mask) = traces(6, 2);
    plain.add(&traces, &mask, Tokens::Expand).unwrap();
    for damping in [Damping::Relative(0.1), Damping::Absolute(0.02), Damping::FactoredTikhonov(0.1)]
    {
        let ekfac = Spectral::ekfac(&basis, &moments, damping).unwrap();
        for (n, info) in layers.iter().enumerate() {
            let entry = basis.layer(n).unwrap();
            let q = dense(&entry.s.vectors).kronecker(&dense(&entry.a.vectors));
            let lambda = flat(&moments.mean(n).unwrap());
            let mean = lambda.mean();
            let (sigma, alpha) = (flat(&entry.s.values), flat(&entry.a.values));
            let damped = match damping {
                Damping::Relative(c) => lambda.add_scalar(c * mean),
                Damping::Absolute(d) => lambda.add_scalar(d),
                Damping::FactoredTikhonov(c) => {
                    let root = (c * sigma.mean() * alpha.mean()).sqrt();
                    let pi = (alpha.mean() / sigma.mean()).sqrt();
                    let full = sigma.add_scalar(root / pi).kronecker(&alpha.add_scalar(root * pi));
                    lambda - sigma.kronecker(&alpha) + full
                }
            };
            let inverse = &q * DMatrix::from_diagonal(&damped.map(|l| 1.0 / l)) * q.transpose();
            let columns = info.in_features + i64::from(info.bias);
            let g = random(&[2, info.out_features, columns], 30);
            let solved = ekfac.solve(info, &g).unwrap();
            assert_eq!(solved, ekfac.solve(info, &g).unwrap());
            let quadratic = ekfac.quadratic(info, &g).unwrap();
            for row in 0..2 {
                let own: DVector<f64> = flat(&g.get(row));
                let expected = &inverse * &own;
                assert!((flat(&solved.get(row)) - &expected).norm() < 1e-10 * expected.norm());
                let expected = own.dot(&expected);
                let found = quadratic.double_value(&[row]);
                assert!((found - expected).abs() < 1e-10 * expected.abs());
            }
        }
    }
    let diagonal = Spectral::diagonal(&plain, Damping::Absolute(0.5)).unwrap();
    let g = random(&[2, 3, 5], 30);
    let expected = &g / (plain.mean(0).unwrap() + 0.5);
    assert!((diagonal.solve(&layers[0], &g).unwrap() - expected).norm().double_value(&[]) < 1e-12);
    let error = Spectral::diagonal(&plain, Damping::FactoredTikhonov(0.1)).unwrap_err();
    assert!(matches!(error, KfacError::NoFactors { .. }), "{error}");
    let other = [layer(9, 4, 3, true)];
    let error = SecondMoments::zeros(&other, Some(&basis), AT.0, AT.1).unwrap_err();
    assert!(matches!(error, KfacError::UnknownLayer { .. }), "{error}");
}

/// One token a sample, every label enumerated, the probabilities the same for all inputs: K-FAC is
/// exact, so fitting its eigenvalues anew changes nothing.
#[test]
fn where_kfac_is_exact_ekfac_is_the_same() {
    let (classes, features, inputs) = (3i64, 4i64, 6i64);
    let x = random(&[inputs, features], 1);
    let p = 1.0 / classes as f64;
    let (mut rows_x, mut rows_g) = (Vec::new(), Vec::new());
    for n in 0..inputs {
        for label in 0..classes {
            let g = Tensor::full([classes], p, AT);
            let _ = g.get(label).f_sub_scalar_(1.0).unwrap();
            rows_x.push(x.get(n));
            rows_g.push(g);
        }
    }
    let infos = [layer(0, features, classes, false)];
    let (x, g) = (Tensor::stack(&rows_x, 0).unsqueeze(1), Tensor::stack(&rows_g, 0).unsqueeze(1));
    let traces = [LayerTrace::new(infos[0].clone(), x, g)];
    let mask = Tensor::ones([inputs * classes, 1], AT);
    let mut factors = Factors::zeros(&infos, Kind::Double, Device::Cpu).unwrap();
    factors.add(&traces, &mask, Tokens::Expand).unwrap();
    let basis = Eigenbasis::of(&factors, Kind::Double).unwrap();
    let mut moments = SecondMoments::zeros(&infos, Some(&basis), AT.0, AT.1).unwrap();
    moments.add(&traces, &mask, Tokens::Expand).unwrap();
    let entry = basis.layer(0).unwrap();
    let products = entry.s.values.outer(&entry.a.values);
    assert!((moments.mean(0).unwrap() - products).norm().double_value(&[]) < 1e-12);
}

/// A mistake seen in other code: covariances averaged over tokens, eigenvalues over texts, so that
/// one absolute damping means something else for longer texts. Tokens whose gradients do not meet in
/// any entry give the same eigenvalues as one text or as many.
#[test]
fn the_unit_does_not_change_with_the_length_of_texts() {
    let infos = [layer(0, 3, 2, false)];
    let x = Tensor::eye(3, AT) * Tensor::from_slice(&[1.0, 2.0, 3.0]);
    let g = random(&[3, 2], 4);
    let fit = |rows: i64, time: i64| {
        let shape = |t: &Tensor, width: i64| t.reshape([rows, time, width]);
        let traces = [LayerTrace::new(infos[0].clone(), shape(&x, 3), shape(&g, 2))];
        let mask = Tensor::ones([rows, time], AT);
        let mut factors = Factors::zeros(&infos, AT.0, AT.1).unwrap();
        factors.add(&traces, &mask, Tokens::Expand).unwrap();
        let basis = Eigenbasis::of(&factors, AT.0).unwrap();
        let mut moments = SecondMoments::zeros(&infos, Some(&basis), AT.0, AT.1).unwrap();
        moments.add(&traces, &mask, Tokens::Expand).unwrap();
        Spectral::ekfac(&basis, &moments, Damping::Absolute(0.1)).unwrap()
    };
    let g = random(&[1, 2, 3], 5);
    let (one, three) = (fit(1, 3).solve(&infos[0], &g), fit(3, 1).solve(&infos[0], &g));
    assert!((one.unwrap() - three.unwrap()).norm().double_value(&[]) < 1e-12);
}
