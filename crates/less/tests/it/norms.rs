//! Norms that a pass records beside features.

use tamis_artifact::NoProgress;
use tamis_dataset::Encodings;
use tamis_gradients::{GradientPass, PassParams, ProjectionSpec, Reducer, RowType, Sink};
use tamis_less::{Direction, WarmCheckpoint};
use tamis_model::DType;
use tch::{Device, Kind};

use crate::common::{fixture, params, samples, warm_up};

/// A pass that writes gradients of the layers beside features records the norms of the adapter with the
/// features alone, whichever comes first.
#[test]
fn norms_of_the_adapter_stay_with_the_features() {
    let dir = tempfile::tempdir().unwrap();
    let place = warm_up("llama", DType::F64, &dir.path().join("warm"), 1).remove(0);
    let mut model = fixture("llama", DType::F64);
    let mut warm = WarmCheckpoint::open(place, model.as_ref()).unwrap();
    let layers = warm.layers(model.as_ref());
    let features = warm.features(&layers, &params(Direction::Paper, "sparse:64")).unwrap();
    let projection =
        ProjectionSpec::default().build(&layers, 3, Kind::Double, Device::Cpu).unwrap();
    let data = samples(model.as_ref(), 4, 12, 2);
    let adapted = warm.adapted(model.as_mut());
    let pass = GradientPass { model: &adapted, layers: &layers, params: PassParams::default() };
    let alone = |reducer: &dyn Reducer| -> Vec<f64> {
        pass.rows_of(&data, reducer).unwrap().infos.iter().map(|info| info.norm).collect()
    };
    let expected = [alone(&features), alone(&projection)];
    assert_ne!(expected[0], expected[1]);
    for order in [[0, 1], [1, 0]] {
        let folder = tempfile::tempdir().unwrap();
        let reducers: [&dyn Reducer; 2] = [&features, &projection];
        let sinks = order.map(|n| {
            let dir = folder.path().join(n.to_string());
            Sink::new(reducers[n], "rows", dir, RowType::F32)
        });
        let (stores, _) = pass.run(&Encodings::of(&data), &sinks, &mut NoProgress).unwrap();
        for (n, store) in order.into_iter().zip(&stores) {
            let infos = store.read(0).unwrap().infos;
            for (info, expected) in infos.iter().zip(&expected[n]) {
                assert!((info.norm - expected).abs() < 1e-9 * expected, "{order:?}: {n}");
            }
        }
    }
}
