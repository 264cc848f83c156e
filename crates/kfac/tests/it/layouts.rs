//! What is computed and what is read again lie alike in memory: products over other strides run other
//! kernels, which round differently on some processors.

use tamis_artifact::NoProgress;
use tamis_dataset::Encodings;
use tamis_gradients::ProjectionSpec;
use tamis_kfac::{
    CurvatureFit, CurvatureKind, Eigenbasis, FactorFit, FactorStore, FitParams, Fitted,
    MomentStore, Sums,
};
use tch::{Device, Kind, Tensor};

use crate::fit::{named, samples};

/// Values alone cannot show a layout on every processor: the strides are looked at.
fn assert_row_major(what: &str, tensor: &Tensor) {
    let mut expected = vec![1; tensor.dim()];
    for side in (1..tensor.dim()).rev() {
        expected[side - 1] = expected[side] * tensor.size()[side];
    }
    assert_eq!(tensor.stride(), expected, "{what} of size {:?}", tensor.size());
}

fn assert_basis(what: &str, basis: &Eigenbasis) {
    for (n, info) in basis.layers().iter().enumerate() {
        let layer = basis.layer(n).unwrap();
        for (side, eigen) in [("s", &layer.s), ("a", &layer.a)] {
            assert_row_major(&format!("{what} {side} of {}", info.name), &eigen.vectors);
            assert_row_major(&format!("{what} {side} of {}", info.name), &eigen.values);
        }
    }
}

#[test]
fn eigenvectors_lie_row_by_row_computed_and_read() {
    let (model, layers) = named("llama");
    let data = samples(model.as_ref(), 8);
    let fit = FactorFit { model: model.as_ref(), layers: &layers, params: FitParams::default() };
    let factors = fit.sum(&data, &mut NoProgress).unwrap();
    for kind in [Kind::Double, Kind::Float] {
        assert_basis("decomposed", &Eigenbasis::of(&factors, kind).unwrap());
    }
    let dir = tempfile::tempdir().unwrap();
    let params = FitParams { part_samples: 3, ..FitParams::default() };
    let fit = CurvatureFit { model: model.as_ref(), layers: &layers, params, layers_at_once: None };
    let run = || -> Fitted {
        fit.run(CurvatureKind::Ekfac, &Encodings::of(&data), dir.path(), &mut NoProgress).unwrap()
    };
    let (computed, read) = (run(), run());
    assert!(!computed.resumed() && read.resumed());
    assert_basis("computed", computed.basis());
    assert_basis("read", read.basis());
    for fitted in [&computed, &read] {
        let projection = fitted.basis().projection(5, 7).unwrap();
        for layer in &layers {
            let sides = projection.two_sided(layer).unwrap();
            assert_row_major("projection out", sides.left);
            assert_row_major("projection in", sides.right);
        }
    }
}

#[test]
fn sums_lie_row_by_row_computed_and_read() {
    let (model, layers) = named("gpt2");
    let data = samples(model.as_ref(), 6);
    let fit = FactorFit { model: model.as_ref(), layers: &layers, params: FitParams::default() };
    let dir = tempfile::tempdir().unwrap();

    let computed = fit.sum(&data, &mut NoProgress).unwrap();
    let rows = Encodings::of(&data);
    fit.run(&rows, dir.path().join("f"), &mut NoProgress).unwrap();
    let store = FactorStore::open(dir.path().join("f")).unwrap();
    let read = store.read(0, &layers, Device::Cpu).unwrap();
    let projection: ProjectionSpec = "4x4".parse().unwrap();
    let projection = projection.build(&layers, 0, Kind::Double, Device::Cpu).unwrap();
    let projected = computed.projected(&projection).unwrap().unwrap();
    for (what, factors) in [("computed", &computed), ("read", &read), ("projected", &projected)] {
        for n in 0..layers.len() {
            let sums = factors.layer(n).unwrap();
            assert_row_major(what, &sums.a);
            assert_row_major(what, &sums.s);
        }
    }

    let basis = Eigenbasis::of(&computed, Kind::Double).unwrap();
    let mut moments =
        tamis_kfac::SecondMoments::zeros(&layers, Some(&basis), Kind::Double, Device::Cpu).unwrap();
    fit.add(&data, &mut moments, &mut tamis_kfac::FitReport::default(), &mut NoProgress).unwrap();
    let whole = CurvatureFit {
        model: model.as_ref(),
        layers: &layers,
        params: FitParams::default(),
        layers_at_once: None,
    };
    whole.run(CurvatureKind::Ekfac, &rows, dir.path(), &mut NoProgress).unwrap();
    let store = MomentStore::open(dir.path().join("moments")).unwrap();
    let read = store.read(0, &layers, Device::Cpu).unwrap();
    assert_eq!(read.count(), moments.count());
    for n in 0..layers.len() {
        assert_row_major("computed moments", &moments.mean(n).unwrap());
        assert_row_major("read moments", &read.mean(n).unwrap());
    }
}
