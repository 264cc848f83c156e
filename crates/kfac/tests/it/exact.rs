//! Cases where K-FAC must equal the dense curvature, and solves against dense inverses.
//!
//! nalgebra is the independent reference: it shares no code with LibTorch's `eigh`.

use nalgebra::{DMatrix, DVector};
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_gradients::{LayerTrace, ProjectionSpec};
use tamis_kfac::{Curvature, Damping, Factors, Identity, KfacError, Spectral, Sums, Tokens};
use tamis_model::{LayerId, LayerInfo};
use tch::{Device, Kind, Tensor};

pub(crate) fn layer(id: usize, in_features: i64, out_features: i64, bias: bool) -> LayerInfo {
    let name = format!("layer.{id}");
    LayerInfo { id: LayerId(id), name, in_features, out_features, bias, head: false }
}

pub(crate) fn random(shape: &[i64], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let count = shape.iter().product::<i64>();
    let values: Vec<f64> = (0..count).map(|_| rng.random_range(-1.0..1.0)).collect();
    Tensor::from_slice(&values).view(shape)
}

pub(crate) fn dense(t: &Tensor) -> DMatrix<f64> {
    let (rows, columns) = t.size2().unwrap();
    let values = Vec::<f64>::try_from(t.to_kind(Kind::Double).flatten(0, -1)).unwrap();
    DMatrix::from_row_slice(rows as usize, columns as usize, &values)
}

/// `vec(G)` row by row, so that the curvature is `S ⊗ A`.
pub(crate) fn flat(g: &Tensor) -> DVector<f64> {
    DVector::from_vec(Vec::<f64>::try_from(g.to_kind(Kind::Double).flatten(0, -1)).unwrap())
}

/// A linear softmax model with weights of zero: every label has probability 1/c whatever the input,
/// so the Fisher matrix is exactly `(diag(p) − p pᵀ) ⊗ E[x xᵀ]`. All labels are enumerated instead
/// of drawn.
#[test]
fn kfac_is_the_fisher_of_an_uninformed_softmax() {
    let (classes, features, inputs) = (3i64, 4i64, 6i64);
    let x = random(&[inputs, features], 1);
    let p = 1.0 / classes as f64;
    let (mut rows_x, mut rows_g, mut fisher) = (Vec::new(), Vec::new(), DMatrix::zeros(12, 12));
    for n in 0..inputs {
        for label in 0..classes {
            // ∂(−log softmax)/∂logits = p − onehot(label).
            let g = Tensor::full([classes], p, (Kind::Double, Device::Cpu));
            let _ = g.get(label).f_sub_scalar_(1.0).unwrap();
            let gradient = flat(&g.outer(&x.get(n)));
            fisher += &gradient * gradient.transpose() * p / inputs as f64;
            rows_x.push(x.get(n));
            rows_g.push(g);
        }
    }
    let traces = [LayerTrace::new(
        layer(0, features, classes, false),
        Tensor::stack(&rows_x, 0).unsqueeze(1),
        Tensor::stack(&rows_g, 0).unsqueeze(1),
    )];
    let mask = Tensor::ones([inputs * classes, 1], (Kind::Double, Device::Cpu));
    let infos = [layer(0, features, classes, false)];
    for tokens in [Tokens::Expand, Tokens::Reduce] {
        let mut factors = Factors::zeros(&infos, Kind::Double, Device::Cpu).unwrap();
        factors.add(&traces, &mask, tokens).unwrap();
        let sums = factors.layer(0).unwrap();
        let (a, s) = (dense(&(sums.a / factors.count())), dense(&(sums.s / factors.count())));
        assert!((s.kronecker(&a) - &fisher).norm() < 1e-12);

        let damping = 0.01;
        let kfac = Spectral::kfac(&factors, Damping::Absolute(damping), Kind::Double).unwrap();
        let g = random(&[2, classes, features], 2);
        let solved = kfac.solve(&infos[0], &g).unwrap();
        let inverse = (&fisher + DMatrix::identity(12, 12) * damping).try_inverse().unwrap();
        for n in 0..2 {
            let expected = &inverse * flat(&g.get(n));
            assert!((flat(&solved.get(n)) - &expected).norm() < 1e-9 * expected.norm());
        }
    }
}

/// Linear regression with unit noise and a bias: the Fisher matrix is exactly `I ⊗ E[x̃ x̃ᵀ]`. The
/// residuals `±√c e_i` have the noise's covariance.
#[test]
fn kfac_is_the_fisher_of_linear_regression() {
    let (outputs, features, inputs) = (2i64, 3i64, 5i64);
    let x = random(&[inputs, features], 3);
    let augmented = Tensor::cat(&[&x, &Tensor::ones([inputs, 1], (Kind::Double, Device::Cpu))], 1);
    let a = dense(&(augmented.transpose(0, 1).matmul(&augmented) / inputs as f64));
    let fisher = DMatrix::identity(2, 2).kronecker(&a);
    let (mut rows_x, mut rows_g) = (Vec::new(), Vec::new());
    for n in 0..inputs {
        for (output, sign) in [(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)] {
            let g = Tensor::zeros([outputs], (Kind::Double, Device::Cpu));
            let _ = g.get(output).fill_(sign * (outputs as f64).sqrt());
            rows_x.push(x.get(n));
            rows_g.push(g);
        }
    }
    let infos = [layer(0, features, outputs, true)];
    let traces = [LayerTrace::new(
        infos[0].clone(),
        Tensor::stack(&rows_x, 0).unsqueeze(1),
        Tensor::stack(&rows_g, 0).unsqueeze(1),
    )];
    let mask = Tensor::ones([inputs * 4, 1], (Kind::Double, Device::Cpu));
    let mut factors = Factors::zeros(&infos, Kind::Double, Device::Cpu).unwrap();
    factors.add(&traces, &mask, Tokens::Expand).unwrap();
    let mean = fisher.trace() / 8.0;
    let g = random(&[1, outputs, features + 1], 4);
    for c in [0.0, 0.1, 10.0] {
        let kfac = Spectral::kfac(&factors, Damping::Relative(c), Kind::Double).unwrap();
        let inverse = (&fisher + DMatrix::identity(8, 8) * (c * mean)).try_inverse().unwrap();
        let expected = &inverse * flat(&g.get(0));
        let found = flat(&kfac.solve(&infos[0], &g).unwrap());
        assert!((found - &expected).norm() < 1e-9 * expected.norm(), "damping {c}");
    }
}

pub(crate) fn two_layers(seed: u64) -> (Vec<LayerInfo>, Factors) {
    let infos = vec![layer(0, 4, 3, false), layer(1, 2, 5, true)];
    let traces: Vec<LayerTrace> = infos
        .iter()
        .map(|info| {
            let of = seed * 10 + info.id.0 as u64;
            let scale = 1.0 + 9.0 * info.id.0 as f64;
            let x = random(&[8, 3, info.in_features], of) * scale;
            LayerTrace::new(info.clone(), x, random(&[8, 3, info.out_features], of + 5))
        })
        .collect();
    let mask = Tensor::ones([8, 3], (Kind::Double, Device::Cpu));
    let mut factors = Factors::zeros(&infos, Kind::Double, Device::Cpu).unwrap();
    factors.add(&traces, &mask, Tokens::Expand).unwrap();
    (infos, factors)
}

/// Where a projection loses nothing (square and invertible), solving among projected gradients gives
/// the same inner products as solving the whole ones: `(R H Rᵀ)⁻¹ = R⁻ᵀ H⁻¹ R⁻¹`.
#[test]
fn projected_curvature_is_the_whole_one_where_nothing_is_lost() {
    let (infos, factors) = two_layers(3);
    let spec: ProjectionSpec = "gaussian:9x9".parse().unwrap();
    let projection = spec.build(&infos, 1, Kind::Double, Device::Cpu).unwrap();
    let projected = factors.projected(&projection).unwrap().unwrap();
    let undamped = |f: &Factors| Spectral::kfac(f, Damping::Absolute(0.0), Kind::Double).unwrap();
    let (whole, inside) = (undamped(&factors), undamped(&projected));
    for (info, small) in infos.iter().zip(projected.layers()) {
        let shape = [2, info.out_features, info.in_features + i64::from(info.bias)];
        let (g, h) = (random(&shape, 11), random(&shape, 12));
        let sides = projection.two_sided(info).unwrap();
        let project = |g: &Tensor| sides.left.matmul(g).matmul(&sides.right.transpose(0, 1));
        let expected = (whole.solve(info, &g).unwrap() * &h).sum(Kind::Double).double_value(&[]);
        let found = inside.solve(small, &project(&g)).unwrap() * project(&h);
        let found = found.sum(Kind::Double).double_value(&[]);
        assert!((found - expected).abs() < 1e-8 * expected.abs(), "{found} {expected}");
    }
}

#[test]
fn factored_tikhonov_is_the_product_of_damped_factors() {
    let (infos, factors) = two_layers(1);
    let c = 0.3;
    let kfac = Spectral::kfac(&factors, Damping::FactoredTikhonov(c), Kind::Double).unwrap();
    for (n, info) in infos.iter().enumerate() {
        let sums = factors.layer(n).unwrap();
        let (a, s) = (dense(&(sums.a / factors.count())), dense(&(sums.s / factors.count())));
        let (mean_a, mean_s) = (a.trace() / a.nrows() as f64, s.trace() / s.nrows() as f64);
        let (pi, root) = ((mean_a / mean_s).sqrt(), (c * mean_a * mean_s).sqrt());
        let a = &a + DMatrix::identity(a.nrows(), a.nrows()) * (root * pi);
        let s = &s + DMatrix::identity(s.nrows(), s.nrows()) * (root / pi);
        let g = random(&[1, s.nrows() as i64, a.nrows() as i64], 8);
        let expected = s.kronecker(&a).try_inverse().unwrap() * flat(&g.get(0));
        let found = flat(&kfac.solve(info, &g).unwrap());
        assert!((found - &expected).norm() < 1e-9 * expected.norm());
    }
}

/// Mistakes seen in other code: damping added in place, so that it grows with every call; one
/// layer's damping used for all; a cached inverse that ignores a new damping.
#[test]
fn a_solve_changes_nothing_and_every_layer_has_its_own_damping() {
    let (infos, factors) = two_layers(2);
    let first = Spectral::kfac(&factors, Damping::Relative(0.1), Kind::Double).unwrap();
    let g = [random(&[2, 3, 4], 5), random(&[2, 5, 3], 6)];
    let solve = |kfac: &Spectral| [0, 1].map(|n| kfac.solve(&infos[n], &g[n]).unwrap());
    let once = solve(&first);
    assert_eq!(once, solve(&first));
    let other = Spectral::kfac(&factors, Damping::Relative(10.0), Kind::Double).unwrap();
    let again = Spectral::kfac(&factors, Damping::Relative(0.1), Kind::Double).unwrap();
    assert_eq!(once, solve(&again));
    assert_ne!(once, solve(&other));
    let spectra = first.spectra();
    assert!(spectra[0].damping > 0.0 && spectra[1].damping > 10.0 * spectra[0].damping);
    for s in spectra {
        assert!((s.damping - 0.1 * s.mean).abs() < 1e-12 * s.mean);
    }
    assert!(other.spectra().iter().all(|s| s.share_below > 0.9));
    assert_eq!(Identity.solve(&infos[0], &g[0]).unwrap(), g[0]);
}

#[test]
fn what_cannot_be_inverted_is_refused() {
    // One token cannot fill a covariance of four inputs.
    let infos = [layer(0, 4, 3, false)];
    let trace = [LayerTrace::new(infos[0].clone(), random(&[1, 1, 4], 1), random(&[1, 1, 3], 2))];
    let mask = Tensor::ones([1, 1], (Kind::Double, Device::Cpu));
    let mut factors = Factors::zeros(&infos, Kind::Double, Device::Cpu).unwrap();
    factors.add(&trace, &mask, Tokens::Expand).unwrap();
    for damping in [Damping::Relative(0.0), Damping::Absolute(0.0), Damping::FactoredTikhonov(0.0)]
    {
        let error = Spectral::kfac(&factors, damping, Kind::Double).unwrap_err();
        assert!(matches!(error, KfacError::Singular { .. }), "{error}");
        assert!(error.to_string().contains("layer.0"), "{error}");
    }
    assert!(Spectral::kfac(&factors, Damping::Absolute(1e-3), Kind::Double).is_ok());
    for damping in [Damping::Relative(-0.1), Damping::Absolute(f64::NAN)] {
        assert!(matches!(
            Spectral::kfac(&factors, damping, Kind::Double),
            Err(KfacError::Damping { .. })
        ));
    }
    let kfac = Spectral::kfac(&factors, Damping::Relative(0.1), Kind::Double).unwrap();
    let unknown = kfac.solve(&layer(9, 4, 3, false), &random(&[1, 3, 4], 1)).unwrap_err();
    assert!(matches!(unknown, KfacError::UnknownLayer { .. }));
    let shape = kfac.solve(&infos[0], &random(&[1, 4, 3], 1)).unwrap_err();
    assert!(matches!(shape, KfacError::Shape { .. }), "{shape}");
    let empty = Factors::zeros(&infos, Kind::Double, Device::Cpu).unwrap();
    assert!(matches!(
        Spectral::kfac(&empty, Damping::default(), Kind::Double),
        Err(KfacError::NoTokens { .. })
    ));
}

#[test]
fn dampings_are_read_and_written() {
    for (text, damping) in [
        ("0.1", Damping::Relative(0.1)),
        ("relative:2", Damping::Relative(2.0)),
        ("absolute:1e-8", Damping::Absolute(1e-8)),
        ("tikhonov:0.5", Damping::FactoredTikhonov(0.5)),
    ] {
        assert_eq!(text.parse::<Damping>().unwrap(), damping);
        assert_eq!(damping.to_string().parse::<Damping>().unwrap(), damping);
    }
    for wrong in ["", "x", "absolute:", "-1", "relative:nan", "other:1"] {
        assert!(wrong.parse::<Damping>().is_err(), "{wrong}");
    }
}
