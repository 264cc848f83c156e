//! The pass: what must not matter, resuming, and samples that cannot be scored.

use tamis_artifact::{NoProgress, Provenance};
use tamis_dataset::{
    EncodeOptions, Encoded, Encoder, Encodings, Reason, Sample, SampleId, Template, TextTokenizer,
};
use tamis_gradients::{
    GradientError, GradientPass, PassParams, ProjectionSpec, RowStore, RowType, RowWriter, Sink,
};
use tamis_model::Reduction;
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

/// Ten rows of different lengths, of which every third has no answer.
fn mixed() -> Vec<Sample> {
    let row = |n: usize| {
        let answer = if n % 3 == 1 { String::new() } else { format!(" the cat {}", n * n) };
        Sample::instruction("le chat ".repeat(1 + n % 4), answer).with_id(format!("row-{n}"))
    };
    (0..10).map(row).collect()
}

fn encoder(model: &str) -> Encoder {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures/");
    let tokenizer = TextTokenizer::from_dir(format!("{folder}{model}")).unwrap();
    let options = EncodeOptions { append_eos: false, ..EncodeOptions::default() };
    Encoder::new(tokenizer, Template::None, options).unwrap()
}

/// One row of the store for each position, although the samples say that all of them are row 0.
#[test]
fn rows_are_joined_by_their_positions_and_ids_are_not_given_twice() {
    let model = fixture("llama", DType::F32);
    let layers = body(model.as_ref());
    let mut data = samples(model.as_ref(), 7, 12, 4);
    for sample in &mut data {
        sample.index = 0;
    }
    let params = PassParams { shard_rows: 3, ..PassParams::default() };
    let pass = GradientPass { model: model.as_ref(), layers: &layers, params };
    let projection = ProjectionSpec::default().build(&layers, 3, Kind::Float, Device::Cpu).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let run = |data: &[Encoded]| {
        let place = dir.path().join(data.len().to_string());
        let sink = Sink::new(&projection, "gradients", place, RowType::F32);
        let stores = pass.run(&Encodings::of(data), &[sink], &mut NoProgress)?.0;
        Ok::<RowStore, GradientError>(stores.into_iter().next().unwrap())
    };
    let store = run(&data).unwrap();
    for place in 0..7 {
        let alone = pass.rows_of(&data[place..=place], &projection).unwrap();
        assert!(relative_error(&store.gather(&[place]).unwrap(), &alone.rows) < 1e-5, "{place}");
    }
    data.push(data[2].clone());
    let error = run(&data).unwrap_err().to_string();
    assert!(error.contains("s2"), "{error}");
}

#[test]
fn a_store_gives_back_what_the_pass_saw_and_is_not_computed_twice() {
    let model = fixture("qwen2", DType::F32);
    let layers = body(model.as_ref());
    let (pool, encoder) = (mixed(), encoder("qwen2"));
    let encodings = Encodings::new(&pool, &encoder);
    let (usable, _) = encodings.read_all().unwrap();
    let params = PassParams { shard_rows: 4, token_budget: 30, ..PassParams::default() };
    let pass = GradientPass { model: model.as_ref(), layers: &layers, params };
    let projection = ProjectionSpec::default().build(&layers, 3, Kind::Float, Device::Cpu).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let sink = [Sink::new(&projection, "gradients", dir.path().join("rows"), RowType::F32)];
    let (_, report) = pass.run(&encodings, &sink, &mut NoProgress).unwrap();
    assert_eq!((report.rows, report.resumed, report.skipped), (10, 0, 3));

    let store = RowStore::open(dir.path().join("rows")).unwrap();
    let (mut ids, mut skipped) = (Vec::new(), Vec::new());
    for shard in store.shards() {
        let shard = shard.unwrap();
        ids.extend(shard.infos.iter().map(|i| i.index));
        skipped.extend(shard.skipped.iter().map(|s| (s.index, s.reason.clone())));
        let members: Vec<Encoded> = shard
            .infos
            .iter()
            .map(|i| usable.iter().find(|sample| sample.index == i.index).unwrap().clone())
            .collect();
        let alone = pass.rows_of(&members, &projection).unwrap();
        assert!(relative_error(&shard.rows, &alone.rows) < 1e-5);
    }
    assert_eq!(ids, [0, 2, 3, 5, 6, 8, 9]);
    assert_eq!(skipped, [1, 4, 7].map(|i| (i, Reason::EmptyTarget)));

    let (_, report) = pass.run(&encodings, &sink, &mut NoProgress).unwrap();
    assert_eq!((report.resumed, report.tokens), (10, 0));

    // Another layer list belongs to another store.
    let pass = GradientPass { layers: &layers[1..], ..pass };
    let refused = pass.run(&encodings, &sink, &mut NoProgress);
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
        let made_of = Provenance::new();
        RowWriter::create_or_resume(dir, "gradients", &made_of, dtype).unwrap().write(0, &shard)
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
    let pass =
        GradientPass { model: model.as_ref(), layers: &layers, params: PassParams::default() };
    let estimate = pass.estimate(&spec, RowType::F16, 1000);
    let row = layers.len() as u64 * 16 * 2;
    assert_eq!(estimate.total_disk().0, row * 1000);
    assert!(estimate.total_memory().0 > estimate.part("weights").unwrap().0);
    let text = estimate.to_string();
    assert!(text.contains("of disk") && text.contains("formed gradients"), "{text}");
}
