//! The gradient pass against its floor, and what stands on it.
//!
//! `cargo bench -p tamis-benches --bench gradients`: a 4.4-million-parameter Llama, 256 samples of
//! 30 to 64 tokens (about 12,000 tokens, a third supervised), batches of 2,048 padded tokens, f32.
#![allow(missing_docs)]
#![allow(clippy::expect_used, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tamis::artifact::NoProgress;
use tamis::dataset::{Encoded, plan_batches};
use tamis::gradients::{
    GradientPass, Labels, PassParams, ProjectionSpec, Reducer, SquaredNorms, trace_batch,
};
use tamis::influence::Seeds;
use tamis::kfac::{FactorFit, FitParams, Identity};
use tamis::model::Reduction;
use tamis::model::{Batch, CausalLm, LayerInfo};
use tamis_benches::{short_pairs, small_llama};
use tch::{Device, Kind, Tensor};

/// Forward and activation-backward over all samples, with nothing done with the result. The
/// gradients asked for are those of `layers`; of the first layer alone, this is the floor.
fn traced(model: &dyn CausalLm, samples: &[Encoded], layers: &[LayerInfo]) {
    let lengths: Vec<usize> = samples.iter().map(Encoded::len).collect();
    for members in plan_batches(&lengths, 2048).unwrap() {
        let rows: Vec<&Encoded> = members.iter().map(|&m| &samples[m]).collect();
        let batch = Batch::new(&rows, Device::Cpu).unwrap();
        let ids: Vec<&str> = rows.iter().map(|s| s.id.as_ref()).collect();
        trace_batch(model, &batch, &ids, layers, Reduction::Mean, Labels::Data).unwrap();
    }
}

fn passes(c: &mut Criterion) {
    let model = small_llama();
    let model = model.as_ref();
    let layers: Vec<LayerInfo> = model.layers().iter().filter(|l| !l.head).cloned().collect();
    let samples = short_pairs(256, model.shape().vocab_size);
    let params = PassParams::default();
    let pass = GradientPass { model, layers: &layers, params };
    let tokens: usize = samples.iter().map(Encoded::len).sum();

    let mut group = c.benchmark_group("pass over 256 samples");
    group.sample_size(10).throughput(Throughput::Elements(tokens as u64));
    group.bench_function("floor", |b| b.iter(|| traced(model, &samples, &layers[..1])));
    group.bench_function("all layers traced", |b| b.iter(|| traced(model, &samples, &layers)));
    for spec in ["8x8", "16x16", "32x32", "sparse:8192"] {
        let spec: ProjectionSpec = spec.parse().unwrap();
        let projection = spec.build(&layers, 0, Kind::Float, Device::Cpu).unwrap();
        group.bench_function(format!("projected {spec}, norms"), |b| {
            b.iter(|| pass.rows_of(&samples, &projection).unwrap());
        });
    }
    let seeds = Seeds::new(&pass, &short_pairs(64, 6000), &Identity).unwrap();
    group.bench_function("scored against 64 seeds, norms", |b| {
        b.iter(|| pass.rows_of(&samples, &seeds).unwrap());
    });
    let fit = FactorFit { model, layers: &layers, params: FitParams::default() };
    group.bench_function("K-FAC factors, sampled labels", |b| {
        b.iter(|| fit.sum(&samples, &mut NoProgress).unwrap());
    });
    group.finish();
}

/// What a tap adds to one traced batch.
fn reductions(c: &mut Criterion) {
    let model = small_llama();
    let model = model.as_ref();
    let layers: Vec<LayerInfo> = model.layers().iter().filter(|l| !l.head).cloned().collect();
    let samples = short_pairs(32, model.shape().vocab_size);
    let rows: Vec<&Encoded> = samples.iter().collect();
    let ids: Vec<&str> = samples.iter().map(|s| s.id.as_ref()).collect();
    let batch = Batch::new(&rows, Device::Cpu).unwrap();
    let trace =
        || trace_batch(model, &batch, &ids, &layers, Reduction::Mean, Labels::Data).unwrap();

    let mut group = c.benchmark_group("one batch of 32 samples");
    let spec: ProjectionSpec = "16x16".parse().unwrap();
    let projection = spec.build(&layers, 0, Kind::Float, Device::Cpu).unwrap();
    let traced = trace();
    let _no_grad = tch::no_grad_guard();
    group.bench_function("two-sided projection 16x16", |b| {
        b.iter(|| {
            let mut rows =
                Tensor::zeros([32, projection.width() as i64], (Kind::Float, Device::Cpu));
            for layer in &traced.layers {
                projection.add(layer, &mut rows).unwrap();
            }
            rows
        });
    });
    group.bench_function("norms", |b| {
        b.iter(|| {
            let mut norms = SquaredNorms::new();
            for layer in &traced.layers {
                norms.add(layer).unwrap();
            }
            norms.finish().unwrap()
        });
    });
    group.finish();
}

/// New seeds against stored rows: one matrix product a shard.
fn stored(c: &mut Criterion) {
    let (rows, width, seeds) = (10_000, 7_168, 64);
    let stored = Tensor::randn([rows, width], (Kind::Half, Device::Cpu));
    let seeds = Tensor::randn([seeds, width], (Kind::Float, Device::Cpu)).transpose(0, 1);
    let mut group = c.benchmark_group("64 seeds against 10,000 stored rows of 7,168 f16");
    group.sample_size(10).throughput(Throughput::Elements(rows as u64));
    group.bench_function("score", |b| {
        b.iter(|| {
            for first in (0..rows).step_by(500) {
                let _ = stored.narrow(0, first, 500).to_kind(Kind::Float).matmul(&seeds);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, passes, reductions, stored);
criterion_main!(benches);
