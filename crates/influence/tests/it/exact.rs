//! The witnesses themselves: two ways to the same number each.

use nalgebra::{DMatrix, DVector};
use tamis_artifact::NoProgress;
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{GradientPass, Labels, PassParams, gradient_size, trace_batch};
use tamis_influence::exact::{dense_fisher, dense_gauss_newton, finite_difference};
use tamis_influence::{InfluenceError, Seeds};
use tamis_kfac::{CurvatureFit, CurvatureKind, Damping, FitParams, Identity, Tokens};
use tamis_model::Reduction;
use tamis_model::{Attention, Batch, CausalLm, DType, DeviceSpec, LayerInfo, LoadOptions, load};
use tch::{Device, Kind, Tensor};

use crate::common::{model, samples};
use crate::gauss_newton::{CHOSEN, few};
use crate::softmax::SoftmaxRegression;

/// Gradients (samples, parameters) and losses of summed target losses.
fn gradients(
    model: &dyn CausalLm,
    layers: &[LayerInfo],
    data: &[Encoded],
) -> (DMatrix<f64>, Vec<f64>) {
    let rows: Vec<&Encoded> = data.iter().collect();
    let batch = Batch::new(&rows, Device::Cpu).unwrap();
    let ids: Vec<&str> = data.iter().map(|s| s.id.as_ref()).collect();
    let trace = trace_batch(model, &batch, &ids, layers, Reduction::Sum, Labels::Data).unwrap();
    let parts: Vec<Tensor> =
        trace.layers.iter().map(|l| l.formed().unwrap().flatten(1, -1)).collect();
    let all = Tensor::cat(&parts, 1);
    let (rows, columns) = all.size2().unwrap();
    let values = Vec::<f64>::try_from(all.flatten(0, -1)).unwrap();
    let matrix = DMatrix::from_row_slice(rows as usize, columns as usize, &values);
    (matrix, Vec::try_from(trace.losses).unwrap())
}

/// The Gauss–Newton matrix is the Fisher matrix under the model's own labels: with one target at the
/// end of the text, all labels can be tried, each as likely as the model says.
#[test]
fn the_gauss_newton_matrix_is_the_true_fisher() {
    for (name, chosen) in CHOSEN {
        let (model, layers) = model(name);
        let layers = few(&layers, &chosen);
        let mut sample = samples(model.as_ref(), 1, 21).remove(0);
        let last = sample.ids.len() - 1;
        sample.supervised = (0..=last).map(|t| t == last).collect();
        let labelled = |label: usize| {
            let mut own = sample.clone();
            own.ids[last] = label as u32;
            own
        };
        let all: Vec<Encoded> = (0..model.shape().vocab_size).map(labelled).collect();
        let (mut g, losses) = gradients(model.as_ref(), &layers, &all);
        for (mut row, loss) in g.row_iter_mut().zip(losses) {
            row *= (-loss / 2.0).exp();
        }
        let expected = g.tr_mul(&g);
        let one = [sample];
        let found = dense_gauss_newton(model.as_ref(), &layers, &one, Tokens::Reduce).unwrap();
        let error = (found.matrix() - &expected).norm() / expected.norm();
        assert!(error < 1e-10, "{name}: {error:e}");
    }
}

#[test]
fn the_empirical_fisher_is_the_mean_of_outer_products() {
    let (model, layers) = model("gpt2");
    let layers = few(&layers, &CHOSEN[1].1);
    let data = samples(model.as_ref(), 5, 22);
    let (g, _) = gradients(model.as_ref(), &layers, &data);
    let tokens: usize = data.iter().map(|s| s.ids.len()).sum();
    for (tokens, count) in [(Tokens::Expand, tokens), (Tokens::Reduce, data.len())] {
        let expected = g.tr_mul(&g) / count as f64;
        let found = dense_fisher(model.as_ref(), &layers, &data, tokens).unwrap();
        let error = (found.matrix() - &expected).norm() / expected.norm();
        assert!(error < 1e-10, "{error:e}");
    }
}

#[test]
fn per_sample_gradients_are_finite_differences() {
    for (name, _) in CHOSEN {
        let (model, layers) = model(name);
        for reduction in [Reduction::Sum, Reduction::Mean] {
            for (n, sample) in samples(model.as_ref(), 2, 23).iter().enumerate() {
                let batch = Batch::new(&[sample], Device::Cpu).unwrap();
                let id = [sample.id.as_ref()];
                let trace =
                    trace_batch(model.as_ref(), &batch, &id, &layers, reduction, Labels::Data)
                        .unwrap();
                for (layer, trace) in layers.iter().zip(&trace.layers) {
                    let g = trace.formed().unwrap().get(0);
                    let (out, columns) = g.size2().unwrap();
                    // Corners and an inner entry; the last column is the bias where there is one.
                    let entries =
                        [(0, 0), (out - 1, columns - 1), (out / 2, (7 + n as i64) % columns)];
                    let found =
                        finite_difference(model.as_ref(), layer, sample, reduction, &entries, 1e-5)
                            .unwrap();
                    let scale = g.abs().max().double_value(&[]);
                    for ((row, column), found) in entries.into_iter().zip(found) {
                        let expected = g.double_value(&[row, column]);
                        let error = (found - expected).abs();
                        assert!(error < 1e-6 * scale, "{name} {}: {error:e}", layer.name);
                    }
                }
            }
        }
    }
}

/// The matrix has the units of the fitted factors: EK-FAC's eigenvalues of a layer add up to the trace
/// of its block, in the mean over the labels that are drawn.
#[test]
fn the_matrix_has_the_units_of_fitted_curvature() {
    let (model, layers) = model("qwen2");
    let layers = few(&layers, &CHOSEN[2].1);
    let data = samples(model.as_ref(), 5, 27);
    for tokens in [Tokens::Expand, Tokens::Reduce] {
        let dense = dense_gauss_newton(model.as_ref(), &layers, &data, tokens).unwrap();
        let mut found = vec![0.0; layers.len()];
        let draws = 40;
        for seed in 0..draws {
            let labels = Labels::Sampled { seed };
            let params = FitParams { labels, tokens, ..FitParams::default() };
            let model = model.as_ref();
            let fit = CurvatureFit { model, layers: &layers, params, layers_at_once: None };
            let dir = tempfile::tempdir().unwrap();
            let fitted = fit
                .run(CurvatureKind::Ekfac, &Encodings::of(&data), dir.path(), &mut NoProgress)
                .unwrap();
            let spectral = fitted.spectral(Damping::default()).unwrap().unwrap();
            for ((sum, spectrum), layer) in found.iter_mut().zip(spectral.spectra()).zip(&layers) {
                *sum += spectrum.mean * gradient_size(layer) as f64 / draws as f64;
            }
        }
        let mut at = 0;
        for (layer, found) in layers.iter().zip(found) {
            let size = gradient_size(layer) as usize;
            let expected: f64 = (at..at + size).map(|k| dense.matrix()[(k, k)]).sum();
            at += size;
            assert!((found / expected - 1.0).abs() < 0.1, "{}: {found} {expected}", layer.name);
        }
    }
}

/// Of the softmax regression all derivatives are known in closed form.
#[test]
fn derivatives_of_a_softmax_regression_are_the_textbook_ones() {
    let model = SoftmaxRegression::new(5, 3, 24);
    let layers = &model.layers()[..1];
    let data = model.samples(3, 4, 25);
    let (mut hessian, mut fisher) = (DMatrix::zeros(20, 20), DMatrix::zeros(20, 20));
    let mut tokens = 0.0;
    for sample in &data {
        let mut gradient = DVector::zeros(20);
        tokens += sample.ids.len() as f64;
        for pair in sample.ids.windows(2) {
            let mut x = Vec::<f64>::try_from(model.embedding.get(i64::from(pair[0]))).unwrap();
            x.push(1.0);
            let x = DVector::from_vec(x);
            let logits: Vec<f64> = (0..5)
                .map(|v| Vec::<f64>::try_from(model.weight.get(v)).unwrap())
                .map(|row| DVector::from_vec(row).dot(&x))
                .collect();
            let total: f64 = logits.iter().map(|l| l.exp()).sum();
            let p = DVector::from_iterator(5, logits.iter().map(|l| l.exp() / total));
            let b = DMatrix::from_diagonal(&p) - &p * p.transpose();
            hessian += b.kronecker(&(&x * x.transpose()));
            let mut g = p.clone();
            g[pair[1] as usize] -= 1.0;
            gradient += g.kronecker(&x);
        }
        fisher += &gradient * gradient.transpose();
    }
    let (hessian, fisher) = (hessian / tokens, fisher / tokens);
    let found = dense_gauss_newton(&model, layers, &data, Tokens::Expand).unwrap();
    assert!((found.matrix() - &hessian).norm() < 1e-12 * hessian.norm());
    let found = dense_fisher(&model, layers, &data, Tokens::Expand).unwrap();
    assert!((found.matrix() - &fisher).norm() < 1e-12 * fisher.norm());

    let damping = 0.01;
    let inverse = (&hessian + DMatrix::identity(20, 20) * damping).try_inverse().unwrap();
    let dense = dense_gauss_newton(&model, layers, &data, Tokens::Expand).unwrap();
    let found = dense.damped_inverse(&[damping]).unwrap();
    assert!((&found - &inverse).norm() < 1e-10 * inverse.norm());

    let pass = GradientPass { model: &model, layers, params: PassParams::default() };
    let plain = Seeds::new(&pass, &data, &Identity).unwrap();
    let solved = dense.solve(&[damping], &plain).unwrap();
    for n in 0..data.len() as i64 {
        let b = dense.flatten(&[plain.layer(layers[0].id).unwrap().get(n)]).unwrap();
        let z = dense.flatten(&[solved.layer(layers[0].id).unwrap().get(n)]).unwrap();
        assert!((&inverse * b - &z).norm() < 1e-10 * z.norm());
    }
}

#[test]
fn what_is_too_large_or_too_coarse_is_refused() {
    let (full, layers) = model("llama");
    let data = samples(full.as_ref(), 2, 26);
    let error = dense_gauss_newton(full.as_ref(), &layers, &data, Tokens::Expand).unwrap_err();
    // 2 blocks of q, o (32 × 32), k, v (16 × 32) and three of 44 × 32.
    let parameters = 2 * (2 * 1024 + 2 * 512 + 3 * 1408);
    let text = error.to_string();
    assert!(text.contains(&parameters.to_string()), "{text}");
    assert!(text.contains(&(8 * parameters * parameters).to_string()), "{text}");

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures/llama");
    let options =
        LoadOptions { device: DeviceSpec::Cpu, kind: DType::F32, attention: Attention::Fused };
    let narrow = load(folder, &options).unwrap();
    let layers = few(&layers, &CHOSEN[0].1);
    let error = dense_fisher(narrow.as_ref(), &layers, &data, Tokens::Expand).unwrap_err();
    assert!(matches!(error, InfluenceError::Precision { expected: "f64", .. }));

    let error = dense_fisher(full.as_ref(), &layers, &[], Tokens::Expand).unwrap_err();
    assert!(matches!(error, InfluenceError::NoSamples { .. }));
    // Two outer products and 1,536 parameters: nothing but damping makes that invertible.
    let fisher = dense_fisher(full.as_ref(), &layers, &data, Tokens::Expand).unwrap();
    let refused = fisher.damped_inverse(&[0.0, 0.0]);
    assert!(matches!(refused, Err(InfluenceError::NotPositive)));
    let refused = fisher.damped_inverse(&[1.0]);
    assert!(matches!(refused, Err(InfluenceError::Mismatch { .. })));
    let wrong = [Tensor::zeros([3], (Kind::Double, Device::Cpu))];
    assert!(matches!(fisher.flatten(&wrong), Err(InfluenceError::Mismatch { .. })));
    let refused =
        finite_difference(full.as_ref(), &layers[0], &data[0], Reduction::Sum, &[(0, 99)], 1e-5);
    assert!(matches!(refused, Err(InfluenceError::Mismatch { .. })));
}
