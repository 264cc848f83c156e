//! Several reducers in one pass: each with norms and errors of its own.

use std::error::Error;

use tamis_artifact::{Fingerprint, NoProgress};
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{
    GradientError, GradientPass, LayerTrace, PassParams, ProjectionSpec, Reducer, RowStore,
    RowType, Sink,
};
use tamis_model::{CausalLm, DType, LayerInfo};
use tch::{Device, Kind, Tensor};

use crate::common::{body, fixture, samples};

/// Looks at other gradients than the layers' own, of which every one has the squared norm `own`.
struct Others(f64);

impl Reducer for Others {
    fn width(&self) -> usize {
        1
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from(std::any::type_name::<Self>())
    }

    fn add(&self, trace: &LayerTrace, _: &mut Tensor) -> Result<(), GradientError> {
        let count = trace.extent().0;
        trace.set_squared_norms(Tensor::full([count], self.0, (Kind::Double, Device::Cpu)));
        Ok(())
    }
}

/// Goes through the layers' own gradients in blocks, which leaves their norms behind.
struct Blocks;

impl Reducer for Blocks {
    fn width(&self) -> usize {
        1
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from(std::any::type_name::<Self>())
    }

    fn add(&self, trace: &LayerTrace, _: &mut Tensor) -> Result<(), GradientError> {
        trace.each_block(|_, _| Ok(()))
    }
}

fn norms(pass: &GradientPass<'_>, data: &[Encoded], reducers: &[&dyn Reducer]) -> Vec<Vec<f64>> {
    let dir = tempfile::tempdir().unwrap();
    let mut sinks = Vec::new();
    for (n, reducer) in reducers.iter().enumerate() {
        let place = dir.path().join(n.to_string());
        sinks.push(Sink::new(*reducer, "rows", place, RowType::F32));
    }
    let (stores, _) = pass.run(&Encodings::of(data), &sinks, &mut NoProgress).unwrap();
    let of = |store: &RowStore| -> Vec<f64> {
        store.shards().flat_map(|shard| shard.unwrap().infos).map(|info| info.norm).collect()
    };
    stores.iter().map(of).collect()
}

fn pass<'a>(model: &'a dyn CausalLm, layers: &'a [LayerInfo]) -> GradientPass<'a> {
    let params = PassParams { token_budget: 40, shard_rows: 4, ..PassParams::default() };
    GradientPass { model, layers, params }
}

#[test]
fn stored_norms_do_not_depend_on_the_other_sinks() {
    let model = fixture("llama", DType::F64);
    let layers = body(model.as_ref());
    let data = samples(model.as_ref(), 6, 12, 4);
    let pass = pass(model.as_ref(), &layers);
    let projection =
        ProjectionSpec::default().build(&layers, 3, Kind::Double, Device::Cpu).unwrap();
    let (four, nine) = (Others(4.0), Others(9.0));
    let reducers: [&dyn Reducer; 4] = [&projection, &four, &Blocks, &nine];
    let alone = reducers.map(|reducer| norms(&pass, &data, &[reducer]).remove(0));
    let layer_count = layers.len() as f64;
    assert!(alone[1].iter().all(|norm| (norm - (4.0 * layer_count).sqrt()).abs() < 1e-9));
    assert!(alone[3].iter().all(|norm| (norm - (9.0 * layer_count).sqrt()).abs() < 1e-9));
    for order in [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]] {
        let together = norms(&pass, &data, &order.map(|n| reducers[n]));
        for (n, found) in order.into_iter().zip(together) {
            assert_eq!(found.len(), data.len());
            for (found, expected) in found.iter().zip(&alone[n]) {
                // Gram matrices and formed gradients round differently.
                assert!((found - expected).abs() < 1e-9 * expected, "{order:?}: reducer {n}");
            }
        }
    }
}

/// A gradient that is not finite costs a sample its row only where that gradient is looked at.
#[test]
fn samples_are_left_out_of_a_sink_by_its_own_norms() {
    let model = fixture("llama", DType::F64);
    let layers = body(model.as_ref());
    let data = samples(model.as_ref(), 3, 12, 4);
    let pass = pass(model.as_ref(), &layers);
    let dir = tempfile::tempdir().unwrap();
    let sinks = [
        Sink::new(&Others(f64::INFINITY), "rows", dir.path().join("infinite"), RowType::F32),
        Sink::new(&Blocks, "rows", dir.path().join("finite"), RowType::F32),
    ];
    let (stores, report) = pass.run(&Encodings::of(&data), &sinks, &mut NoProgress).unwrap();
    assert_eq!(report.skipped, 3);
    let (infinite, finite) = (stores[0].read(0).unwrap(), stores[1].read(0).unwrap());
    assert_eq!((infinite.infos.len(), infinite.skipped.len()), (0, 3));
    assert_eq!((finite.infos.len(), finite.skipped.len()), (3, 0));
}

#[derive(Debug, thiserror::Error)]
#[error("the service is away")]
struct Away(#[source] std::io::Error);

/// A reducer of someone else, which fails for a reason of its own.
struct Failing;

impl Reducer for Failing {
    fn width(&self) -> usize {
        1
    }

    fn fingerprint(&self) -> Fingerprint {
        Fingerprint::from(std::any::type_name::<Self>())
    }

    fn add(&self, _: &LayerTrace, _: &mut Tensor) -> Result<(), GradientError> {
        Err(GradientError::reducer(Away(std::io::Error::other("no route to it"))))
    }
}

#[test]
fn the_error_of_a_reducer_keeps_its_sources() {
    let model = fixture("llama", DType::F32);
    let layers = body(model.as_ref());
    let data = samples(model.as_ref(), 1, 8, 4);
    let error = pass(model.as_ref(), &layers).rows_of(&data, &Failing).unwrap_err();
    assert!(error.to_string().contains("the service is away"), "{error}");
    let away = error.source().unwrap().downcast_ref::<Away>().unwrap();
    let cause = away.source().unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(cause.to_string(), "no route to it");
}
