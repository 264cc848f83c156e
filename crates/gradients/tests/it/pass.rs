//! The pass: what must not matter, resuming, and samples that cannot be scored.

use std::ops::Range;

use serde_json::{Map, json};
use tamis_artifact::NoProgress;
use tamis_dataset::{DatasetError, Encoded, Outcome, Reason, SampleId};
use tamis_gradients::{
    Drawn, Estimate, GradientPass, PassParams, ProjectionSpec, Reduction, RowStore, RowType,
    Samples, Sink,
};
use tamis_model::{CausalLm, DType};
use tch::{Device, Kind, Tensor};

use crate::common::{body, fixture, relative_error, samples};

fn rows(model: &dyn CausalLm, data: &[Encoded], params: PassParams, spec: &str) -> Tensor {
    let layers = body(model);
    let spec: ProjectionSpec = spec.parse().unwrap();
    let shape = model.shape();
    let projection = spec.build(&layers, 3, shape.kind, Device::Cpu).unwrap();
    let pass = GradientPass { model, layers: &layers, params };
    let shard = pass.rows_of(data, &projection).unwrap();
    let norms: Vec<f64> = shard.infos.iter().map(|i| i.norm).collect();
    Tensor::cat(&[shard.rows.to_kind(Kind::Double), Tensor::from_slice(&norms).unsqueeze(1)], 1)
}

#[test]
fn drawn_samples_are_some_of_the_source_in_its_order() {
    let model = fixture("llama", DType::F64);
    let data = samples(model.as_ref(), 50, 14, 2);
    let drawn = Drawn::new(&data, 20, 7);
    let places = drawn.positions().to_vec();
    assert_eq!((drawn.len(), places.len()), (20, 20));
    assert!(places.windows(2).all(|w| w[0] < w[1]) && places.iter().all(|&p| p < 50));
    assert_eq!(Drawn::new(&data, 20, 7).positions(), places);
    assert_ne!(Drawn::new(&data, 20, 8).positions(), places);
    assert_eq!(Drawn::new(&data, 99, 7).positions(), (0..50).collect::<Vec<_>>());
    let read = drawn.read(3..17).unwrap();
    for (outcome, &place) in read.iter().zip(&places[3..17]) {
        assert!(matches!(outcome, Outcome::Scored(sample) if *sample == data[place]));
    }
    assert_eq!(read.len(), 14);
}

#[test]
fn batch_size_padding_and_order_do_not_matter() {
    for (kind, tolerance) in [(DType::F64, 1e-9), (DType::F32, 1e-4)] {
        let model = fixture("llama", kind);
        let data = samples(model.as_ref(), 12, 14, 2);
        let params = |token_budget| PassParams { token_budget, ..PassParams::default() };
        let one = rows(model.as_ref(), &data, params(1), "4x4");
        for budget in [17, 40, 10_000] {
            let many = rows(model.as_ref(), &data, params(budget), "4x4");
            assert!(relative_error(&many, &one) < tolerance, "budget {budget}");
        }
        let mut backwards = data.clone();
        backwards.reverse();
        let reversed = rows(model.as_ref(), &backwards, params(40), "4x4").flip([0]);
        assert!(relative_error(&reversed, &one) < tolerance);
    }
}

#[test]
fn sum_and_mean_differ_by_the_number_of_targets() {
    let model = fixture("gpt2", DType::F64);
    let data = samples(model.as_ref(), 4, 12, 8);
    let of = |reduction| PassParams { reduction, ..PassParams::default() };
    let sum = rows(model.as_ref(), &data, of(Reduction::Sum), "full");
    let mean = rows(model.as_ref(), &data, of(Reduction::Mean), "full");
    for (n, sample) in data.iter().enumerate() {
        let count = sample.supervised[1..].iter().filter(|&&s| s).count() as f64;
        assert!(relative_error(&(mean.get(n as i64) * count), &sum.get(n as i64)) < 1e-12);
    }
}

/// A pool with rows that cannot be used.
struct Mixed(Vec<Encoded>);

impl Samples for Mixed {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn read(&self, positions: Range<usize>) -> Result<Vec<Outcome<Encoded>>, DatasetError> {
        let outcome = |sample: &Encoded| {
            if sample.index % 3 == 1 {
                let reason = Reason::EmptyTarget;
                Outcome::Unscorable { id: sample.id.clone(), index: sample.index, reason }
            } else {
                Outcome::Scored(sample.clone())
            }
        };
        Ok(self.0[positions].iter().map(outcome).collect())
    }
}

#[test]
fn a_store_gives_back_what_the_pass_saw_and_is_not_computed_twice() {
    let model = fixture("qwen2", DType::F32);
    let layers = body(model.as_ref());
    let pool = Mixed(samples(model.as_ref(), 10, 12, 4));
    let params = PassParams { shard_rows: 4, token_budget: 30, ..PassParams::default() };
    let pass = GradientPass { model: model.as_ref(), layers: &layers, params };
    let projection = ProjectionSpec::default().build(&layers, 3, Kind::Float, Device::Cpu).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let fields = pass.manifest_fields();
        RowStore::create_or_resume(dir.path().join("rows"), "gradients", fields, RowType::F32)
    };
    let mut store = open().unwrap();
    let mut sinks = [Sink { reducer: &projection, store: &mut store }];
    let report = pass.run(&pool, &mut sinks, &mut NoProgress).unwrap();
    assert_eq!((report.samples, report.resumed, report.skipped), (10, 0, 3));
    drop(store);

    let store = RowStore::open(dir.path().join("rows")).unwrap();
    assert!(store.artifact().is_complete());
    let (mut ids, mut skipped) = (Vec::new(), Vec::new());
    for shard in store.shards() {
        let shard = shard.unwrap();
        ids.extend(shard.infos.iter().map(|i| i.index));
        skipped.extend(shard.skipped.iter().map(|s| (s.index, s.reason.clone())));
        let members: Vec<Encoded> = shard.infos.iter().map(|i| pool.0[i.index].clone()).collect();
        let alone = pass.rows_of(&members, &projection).unwrap();
        assert!(relative_error(&shard.rows, &alone.rows) < 1e-5);
    }
    assert_eq!(ids, [0, 2, 3, 5, 6, 8, 9]);
    assert_eq!(skipped, [1, 4, 7].map(|i| (i, Reason::EmptyTarget)));
    drop(store);

    let mut store = open().unwrap();
    let mut sinks = [Sink { reducer: &projection, store: &mut store }];
    let report = pass.run(&pool, &mut sinks, &mut NoProgress).unwrap();
    assert_eq!((report.resumed, report.tokens), (10, 0));
    drop(store);

    // Another layer list belongs to another store.
    let pass = GradientPass { layers: &layers[1..], ..pass };
    let fields = pass.manifest_fields();
    let refused =
        RowStore::create_or_resume(dir.path().join("rows"), "gradients", fields, RowType::F32);
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("layers"), "{message}");
}

#[test]
fn a_row_that_does_not_fit_half_precision_is_refused_by_name() {
    let model = fixture("llama", DType::F32);
    let layers = body(model.as_ref());
    let data = samples(model.as_ref(), 2, 8, 4);
    let pass =
        GradientPass { model: model.as_ref(), layers: &layers, params: PassParams::default() };
    let projection = ProjectionSpec::default().build(&layers, 3, Kind::Float, Device::Cpu).unwrap();
    let mut shard = pass.rows_of(&data, &projection).unwrap();
    shard.rows = &shard.rows * 1e9;
    let dir = tempfile::tempdir().unwrap();
    let open = |dtype: RowType| {
        let dir = dir.path().join(dtype.to_string());
        RowStore::create_or_resume(dir, "gradients", Map::new(), dtype).unwrap().write(0, &shard)
    };
    let message = open(RowType::F16).unwrap_err().to_string();
    assert!(message.contains("sample s0") && message.contains("bf16 or f32"), "{message}");
    open(RowType::Bf16).unwrap();
}

#[test]
fn a_sample_with_a_gradient_that_is_not_finite_is_named_and_left_out() {
    let model = fixture("llama", DType::F32);
    let layers = body(model.as_ref());
    let mut data = samples(model.as_ref(), 3, 8, 4);
    // Only the second sample uses the poisoned embedding row.
    let used: std::collections::HashSet<u32> =
        data[0].ids.iter().chain(&data[2].ids).copied().collect();
    // Not 0, which fills the padding of every row.
    let poisoned = (1..model.shape().vocab_size as u32).find(|id| !used.contains(id)).unwrap();
    data[1].ids[0] = poisoned;
    let embedding = model.parameters().get("model.embed_tokens.weight").unwrap();
    let _ = embedding.get(i64::from(poisoned)).fill_(f64::NAN);
    let pass =
        GradientPass { model: model.as_ref(), layers: &layers, params: PassParams::default() };
    let projection = ProjectionSpec::default().build(&layers, 3, Kind::Float, Device::Cpu).unwrap();
    let shard = pass.rows_of(&data, &projection).unwrap();
    assert_eq!(shard.infos.iter().map(|i| i.index).collect::<Vec<_>>(), [0, 2]);
    assert_eq!(shard.skipped.len(), 1);
    assert_eq!(shard.skipped[0].id, SampleId::from("s1"));
    assert_eq!(shard.skipped[0].reason, Reason::NonFinite);
    assert!(bool::try_from(shard.rows.isfinite().all()).unwrap());
}

#[test]
fn parameters_and_estimates() {
    let model = fixture("llama", DType::F32);
    let layers = body(model.as_ref());
    assert!(PassParams { token_budget: 0, ..PassParams::default() }.check().is_err());
    let spec: ProjectionSpec = "4x4".parse().unwrap();
    let estimate =
        Estimate::new(model.as_ref(), &layers, &PassParams::default(), &spec, RowType::F16, 1000);
    assert_eq!(estimate.row, layers.len() as u64 * 16 * 2);
    assert_eq!(estimate.disk, estimate.row * 1000);
    assert!(estimate.to_string().contains("of disk"));
    let json = json!(estimate);
    assert_eq!(json["row"], estimate.row);
}
