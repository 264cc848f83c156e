//! Seeds lie in memory row by row, wherever they come from: products over other strides run other
//! kernels, which round differently on some processors.

use std::collections::HashMap;

use tamis_artifact::NoProgress;
use tamis_dataset::Encodings;
use tamis_gradients::{GradientPass, PassParams, ProjectionSpec};
use tamis_influence::Seeds;
use tamis_kfac::{CurvatureFit, CurvatureKind, Damping, FitParams, Identity};
use tch::{Device, Kind, Tensor};

use crate::common::{model, samples};

/// Values alone cannot show a layout on every processor: the strides are looked at.
fn assert_row_major(what: &str, tensor: &Tensor) {
    let mut expected = vec![1; tensor.dim()];
    for side in (1..tensor.dim()).rev() {
        expected[side - 1] = expected[side] * tensor.size()[side];
    }
    assert_eq!(tensor.stride(), expected, "{what} of size {:?}", tensor.size());
}

fn assert_seeds(what: &str, seeds: &Seeds) {
    for layer in seeds.layers() {
        assert_row_major(&format!("{what}: {}", layer.name), seeds.layer(layer.id).unwrap());
    }
}

#[test]
fn seeds_lie_row_by_row_with_a_curvature_that_is_computed_or_read() {
    let (model, layers) = model("gpt2");
    let (pool, chosen) = (samples(model.as_ref(), 7, 1), samples(model.as_ref(), 3, 2));
    let params = PassParams { token_budget: 40, ..PassParams::default() };
    let pass = GradientPass { model: model.as_ref(), layers: &layers, params };
    let dir = tempfile::tempdir().unwrap();
    let fit = CurvatureFit {
        model: model.as_ref(),
        layers: &layers,
        params: FitParams::default(),
        layers_at_once: None,
    };
    for what in ["computed", "read"] {
        let fitted =
            fit.run(CurvatureKind::Ekfac, &Encodings::of(&pool), dir.path(), &mut NoProgress);
        let fitted = fitted.unwrap();
        assert_eq!(fitted.resumed(), what == "read");
        let curvature = fitted.curvature(Damping::default()).unwrap();
        let seeds = Seeds::new(&pass, &chosen, curvature.as_ref()).unwrap();
        assert_seeds(what, &seeds);
        assert_seeds(what, &Seeds::mean(&pass, &chosen, curvature.as_ref()).unwrap());
        assert_seeds(what, &seeds.solve(curvature.as_ref()).unwrap());

        let spec: ProjectionSpec = "pca:4x4".parse().unwrap();
        let projection = fitted.basis().projection(4, 4).unwrap();
        assert_row_major(what, &seeds.projected(&projection).unwrap());
        let rows = Seeds::project(&pass, &chosen, curvature.as_ref(), &projection).unwrap();
        assert_row_major(what, &rows);
        let inside = fitted.projected(&spec, &projection, Damping::default()).unwrap().unwrap();
        let of = (&inside.layers[..], &inside.curvature);
        let rows = Seeds::solve_projected(&pass, &chosen, of.0, of.1, &projection).unwrap();
        assert_row_major(what, &rows);
    }
}

#[test]
fn seeds_given_column_by_column_are_kept_row_by_row() {
    let (model, layers) = model("llama");
    let chosen = samples(model.as_ref(), 2, 2);
    let params = PassParams::default();
    let pass = GradientPass { model: model.as_ref(), layers: &layers, params };
    let seeds = Seeds::new(&pass, &chosen, &Identity).unwrap();
    let turned = |t: &Tensor| t.transpose(1, 2).contiguous().transpose(1, 2);
    let given: HashMap<_, _> =
        layers.iter().map(|l| (l.id, turned(seeds.layer(l.id).unwrap()))).collect();
    assert!(given.values().all(|t| !t.is_contiguous()));
    let given = Seeds::from_solved(seeds.ids().to_vec(), layers.clone(), given).unwrap();
    assert_seeds("given", &given);
    for layer in &layers {
        assert_eq!(given.layer(layer.id), seeds.layer(layer.id));
    }
    // Views of a larger tensor are copied out as well.
    let wide = Tensor::zeros([2, 3, 8], (Kind::Double, Device::Cpu)).narrow(2, 0, 4);
    let id = layers[0].id;
    let given = Seeds::from_solved(vec!["a".into()], layers, HashMap::from([(id, wide)])).unwrap();
    assert_row_major("view", given.layer(id).unwrap());
}
