//! Whole fits of every curvature: parts, groups of layers, resuming, refusals, projections.

use std::path::Path;

use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{LayerTrace, Projection, ProjectionSpec, Reducer};
use tamis_kfac::{
    Curvature, CurvatureFit, CurvatureKind, Damping, FitParams, Fitted, KfacError, NonFinite,
};
use tamis_model::{CausalLm, LayerInfo};
use tch::{Device, Kind, Tensor};

use crate::exact::random;
use crate::fit::{named, samples};

fn fit<'a>(model: &'a dyn CausalLm, layers: &'a [LayerInfo], part: usize) -> CurvatureFit<'a> {
    let params = FitParams { part_samples: part, ..FitParams::default() };
    CurvatureFit { model, layers, params, layers_at_once: None }
}

fn run(fit: &CurvatureFit<'_>, kind: CurvatureKind, data: &[Encoded], dir: &Path) -> Fitted {
    fit.run(kind, &Encodings::of(data), dir, &mut NoProgress).unwrap()
}

/// Largest relative difference of what two fits make of the same gradients.
fn difference(layers: &[LayerInfo], one: &Fitted, two: &Fitted) -> f64 {
    let [one, two] = [one, two].map(|f| f.curvature(Damping::default()).unwrap());
    let of = |layer: &LayerInfo| {
        let columns = layer.in_features + i64::from(layer.bias);
        let g = random(&[2, layer.out_features, columns], 3);
        let (a, b) = (one.solve(layer, &g).unwrap(), two.solve(layer, &g).unwrap());
        (&a - &b).norm().double_value(&[]) / b.norm().double_value(&[])
    };
    layers.iter().map(of).fold(0.0, f64::max)
}

#[test]
fn parts_and_groups_of_layers_do_not_matter() {
    let (model, layers) = named("gpt2");
    let data = samples(model.as_ref(), 12);
    for kind in CurvatureKind::ALL {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let whole = run(&fit(model.as_ref(), &layers, 100), kind, &data, &at("whole"));
        assert_eq!(
            whole.spectral(Damping::default()).unwrap().is_none(),
            kind == CurvatureKind::Identity
        );
        let parts = run(&fit(model.as_ref(), &layers, 5), kind, &data, &at("parts"));
        assert!(difference(&layers, &parts, &whole) < 1e-9, "{kind}");
        let grouped = CurvatureFit { layers_at_once: Some(3), ..fit(model.as_ref(), &layers, 5) };
        let grouped = run(&grouped, kind, &data, &at("grouped"));
        assert!(difference(&layers, &grouped, &whole) < 1e-9, "{kind}");
        assert_eq!(at("grouped").join("moments-002").exists(), kind == CurvatureKind::Ekfac);
        let mut backwards = data.clone();
        backwards.reverse();
        let backwards = run(&fit(model.as_ref(), &layers, 7), kind, &backwards, &at("backwards"));
        assert!(difference(&layers, &backwards, &whole) < 1e-9, "{kind}");
    }
}

/// Stops a fit after some samples, as a kill between two batches would.
pub(crate) struct StopAfter(pub(crate) u64);

impl Progress for StopAfter {
    fn start(&mut self, _: &Stage<'_>) {}
    fn advance(&mut self, samples: u64) {
        assert!(self.0 > samples, "stopped");
        self.0 -= samples;
    }
    fn finish(&mut self) {}
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for stage in std::fs::read_dir(dir).unwrap() {
        let stage = stage.unwrap().path();
        for file in std::fs::read_dir(&stage).unwrap() {
            let file = file.unwrap().path();
            let name = file.strip_prefix(dir).unwrap().display().to_string();
            all.push((name, std::fs::read(&file).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_fit_goes_on_where_it_was_stopped_to_the_same_bytes() {
    let (model, layers) = named("llama");
    let data = samples(model.as_ref(), 10);
    let fit = fit(model.as_ref(), &layers, 3);
    let dir = tempfile::tempdir().unwrap();
    let (straight, stopped) = (dir.path().join("straight"), dir.path().join("stopped"));
    let _ = run(&fit, CurvatureKind::Ekfac, &data, &straight);
    // Again and again: in the covariances, while decomposing, in the second moments. Five samples are
    // enough for one part.
    let mut stops = 0;
    loop {
        let stop = std::panic::AssertUnwindSafe(|| {
            fit.run(CurvatureKind::Ekfac, &Encodings::of(&data), &stopped, &mut StopAfter(5))
        });
        if std::panic::catch_unwind(stop).is_ok() {
            break;
        }
        stops += 1;
        assert!(stops < 30);
    }
    assert!(stops > 5, "{stops}");
    let resumed = run(&fit, CurvatureKind::Ekfac, &data, &stopped);
    assert!(resumed.resumed());
    assert_eq!(files(&straight), files(&stopped));
    // K-FAC and another damping take what is there.
    let kfac = fit.run(CurvatureKind::Kfac, &Encodings::of(&data), &stopped, &mut StopAfter(1));
    let kfac = kfac.unwrap();
    assert!(kfac.spectral(Damping::Absolute(1e-3)).unwrap().is_some());
    assert_ne!(kfac.fingerprint(), resumed.fingerprint());
}

/// A sample that is left out on request is named by the run that computes its part and by every run
/// that takes the part from the disk, whole or in the middle.
#[test]
fn a_resumed_fit_knows_which_samples_were_left_out() {
    let (model, layers) = named("llama");
    let mut data = samples(model.as_ref(), 10);
    let token = model.shape().vocab_size as u32 - 1;
    for sample in &mut data {
        sample.ids.iter_mut().for_each(|id| *id = (*id).min(token - 1));
    }
    let bad = [1, 7];
    for n in bad {
        data[n].ids[1] = token;
    }
    let expected = bad.map(|n| data[n].id.clone());
    let embedding = model.parameters().get("model.embed_tokens.weight").unwrap();
    let _ = embedding.get(i64::from(token)).fill_(f64::NAN);
    let own = fit(model.as_ref(), &layers, 4);
    let params = FitParams { non_finite: NonFinite::Skip, ..own.params };
    let own = CurvatureFit { params, ..own };
    for kind in [CurvatureKind::Kfac, CurvatureKind::Diagonal, CurvatureKind::Ekfac] {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let first = run(&own, kind, &data, &at("straight"));
        assert!(!first.resumed());
        assert_eq!(first.left_out(), expected, "{kind}");
        let again = run(&own, kind, &data, &at("straight"));
        assert!(again.resumed());
        assert_eq!(again.left_out(), expected, "{kind}");
        // Stopped after the part of the first bad sample, before that of the second.
        let stop = std::panic::AssertUnwindSafe(|| {
            own.run(kind, &Encodings::of(&data), &at("stopped"), &mut StopAfter(5))
        });
        assert!(std::panic::catch_unwind(stop).is_err());
        let resumed = run(&own, kind, &data, &at("stopped"));
        assert_eq!(resumed.left_out(), expected, "{kind}");
        assert_eq!(files(&at("straight")), files(&at("stopped")), "{kind}");
    }
}

#[test]
fn what_belongs_to_something_else_is_refused_by_name() {
    let (model, layers) = named("llama");
    let data = samples(model.as_ref(), 4);
    let dir = tempfile::tempdir().unwrap();
    let own = fit(model.as_ref(), &layers, 10);
    let _ = run(&own, CurvatureKind::Ekfac, &data, dir.path());
    let refused = |fit: &CurvatureFit<'_>, data: &[Encoded], field: &str| {
        let kind = CurvatureKind::Ekfac;
        let error = fit.run(kind, &Encodings::of(data), dir.path(), &mut NoProgress).unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    };
    refused(&own, &samples(model.as_ref(), 5), "`source.");
    refused(&CurvatureFit { layers: &layers[1..], ..own }, &data, "layers");
    let other = CurvatureFit { params: FitParams { token_budget: 64, ..own.params }, ..own };
    refused(&other, &data, "token_budget");
    assert!(run(&own, CurvatureKind::Ekfac, &data, dir.path()).resumed());
    // One weight of the model.
    let weight = model.parameters().get(&format!("{}.weight", layers[0].name)).unwrap();
    let _ = weight.get(0).get(0).fill_(0.5);
    refused(&own, &data, "`model.weights");
}

/// Projected onto all eigenvectors nothing is lost; onto the leading ones, the curvature is that part
/// of the whole.
#[test]
fn leading_eigenvectors_keep_their_part_of_the_curvature() {
    let (model, layers) = named("llama");
    let layers = &layers[..3];
    let data = samples(model.as_ref(), 12);
    let dir = tempfile::tempdir().unwrap();
    for kind in [CurvatureKind::Kfac, CurvatureKind::Ekfac] {
        let fitted = run(&fit(model.as_ref(), layers, 100), kind, &data, dir.path());
        let damping = Damping::default();
        let whole = fitted.spectral(damping).unwrap().unwrap();
        for (p, q) in [(100, 100), (5, 7)] {
            let spec = ProjectionSpec::Pca { out: p, r#in: q };
            let projection = fitted.basis().projection(p, q).unwrap();
            let inside = fitted.projected(&spec, &projection, damping).unwrap().unwrap();
            for (n, layer) in layers.iter().enumerate() {
                let shape = [2, layer.out_features, layer.in_features];
                let (g, h) = (random(&shape, 11), random(&shape, 12));
                let entry = fitted.basis().layer(n).unwrap();
                let turn = |g: &Tensor| entry.s.vectors.tr().matmul(g).matmul(&entry.a.vectors);
                // The same through the whole basis, all but the leading part set to zero.
                let mask = Tensor::zeros([shape[1], shape[2]], (Kind::Double, Device::Cpu));
                let (p, q) = ((p as i64).min(shape[1]), (q as i64).min(shape[2]));
                let _ = mask.narrow(0, shape[1] - p, p).narrow(1, shape[2] - q, q).fill_(1.0);
                let solved = turn(&whole.solve(layer, &g).unwrap()) * mask * turn(&h);
                let expected = solved.sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Double);

                let (left, right) = sides(&projection, layer);
                let small = &inside.layers[n];
                assert_eq!((small.out_features, small.in_features), (p, q));
                let project = |g: &Tensor| left.matmul(g).matmul(&right.tr());
                let found = inside.curvature.solve(small, &project(&g)).unwrap() * project(&h);
                let found = found.sum_dim_intlist([1i64, 2].as_slice(), false, Kind::Double);
                let error = (found - &expected).norm().double_value(&[]);
                assert!(error < 1e-9 * expected.norm().double_value(&[]), "{kind} {p}x{q}");
            }
            // As a reducer it gives the rows it says.
            let x = random(&[1, 3, layers[0].in_features], 1);
            let g = random(&[1, 3, layers[0].out_features], 2);
            let mut rows =
                Tensor::zeros([1, projection.width() as i64], (Kind::Double, Device::Cpu));
            let trace = LayerTrace::new(layers[0].clone(), x, g);
            projection.add(&trace, &mut rows).unwrap();
            assert_eq!(spec.width(layers), projection.width());
            assert!(rows.norm().double_value(&[]) > 0.0);
        }
        let spec: ProjectionSpec = "4x4".parse().unwrap();
        let random = spec.build(layers, 0, Kind::Double, Device::Cpu).unwrap();
        let found = fitted.projected(&spec, &random, damping);
        match kind {
            CurvatureKind::Kfac => assert_eq!(found.unwrap().unwrap().layers[0].in_features, 4),
            _ => assert!(matches!(found.unwrap_err(), KfacError::Projected { .. })),
        }
    }
    assert_eq!("pca:5x7".parse::<ProjectionSpec>().unwrap().to_string(), "pca:5x7");
    let pca: ProjectionSpec = "pca:5x7".parse().unwrap();
    assert!(pca.build(layers, 0, Kind::Double, Device::Cpu).is_err());
}

fn sides<'a>(projection: &'a Projection, layer: &LayerInfo) -> (&'a Tensor, &'a Tensor) {
    let sides = projection.two_sided(layer).unwrap();
    (sides.left, sides.right)
}

/// One layer of 44 × 32 and one of 32 × 44, counted by hand, f64.
#[test]
fn memory_is_counted_before_the_start() {
    let (model, layers) = named("llama");
    let two: Vec<LayerInfo> = layers
        .iter()
        .filter(|l| l.name.contains("layers.0.mlp.") && !l.name.contains("gate"))
        .cloned()
        .collect();
    assert_eq!(two.len(), 2);
    let (squares, entries) = (44 * 44 + 32 * 32, 44 * 32);
    let of = |layers_at_once, kind| {
        let whole = fit(model.as_ref(), &two, 10);
        CurvatureFit { layers_at_once, ..whole }.bytes(kind) / 8
    };
    assert_eq!(of(None, CurvatureKind::Identity), 0);
    assert_eq!(of(None, CurvatureKind::Diagonal), 4 * entries);
    assert_eq!(of(None, CurvatureKind::Kfac), 4 * squares);
    assert_eq!(of(None, CurvatureKind::Ekfac), 4 * squares + 2 * entries);
    // One layer's sums at a time: less than the inverses that solving takes.
    assert_eq!(of(Some(1), CurvatureKind::Kfac), 2 * squares + squares.max(2 * entries));
}

#[test]
fn kinds_are_read_and_written_and_say_what_they_need() {
    for kind in CurvatureKind::ALL {
        assert_eq!(kind.to_string().parse::<CurvatureKind>().unwrap(), kind);
    }
    assert!("hessian".parse::<CurvatureKind>().is_err());
    let needs = CurvatureKind::ALL.map(|k| (k.needs().covariances, k.needs().second_moments));
    assert_eq!(needs, [(false, false), (false, true), (true, false), (true, true)]);
}
