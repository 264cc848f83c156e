//! K-means of 20,000 rows of 512 numbers (f32) into 64 clusters: ten iterations from fixed centroids,
//! one greedy k-means++ seeding, and drawing 5,000 rows over the clusters.
//!
//! `cargo bench -p tamis-benches --bench kmeans`

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tamis::clustering::{KMeans, KMeansParams, Metric, Resample, Within};
use tamis::selection::vectors::ndarray::{Array2, s};

const ROWS: usize = 20_000;
const COLUMNS: usize = 512;
const CLUSTERS: usize = 64;
const ITERATIONS: usize = 10;
const SEED: u64 = 1;

/// Rows around as many overlapping centres as there are clusters; the same in every run.
fn rows() -> Array2<f32> {
    let mut state = SEED;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    let centers = Array2::from_shape_simple_fn((CLUSTERS, COLUMNS), || 0.25 * uniform());
    Array2::from_shape_fn((ROWS, COLUMNS), |(row, column)| {
        centers[[row % CLUSTERS, column]] + uniform()
    })
}

fn params(max_iter: usize, metric: Metric) -> KMeansParams {
    // No tolerance: a run takes all its iterations unless no label changes.
    KMeansParams { k: CLUSTERS, metric, n_init: 1, max_iter, tolerance: 0.0, seed: SEED }
}

fn checked(params: KMeansParams) -> KMeans {
    params.check().expect("the parameters above are valid")
}

fn kmeans(criterion: &mut Criterion) {
    let rows = rows();
    let mut group = criterion.benchmark_group("kmeans 20000x512 k=64");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    for metric in [Metric::Euclidean, Metric::Cosine] {
        let kmeans = checked(params(ITERATIONS, metric));
        // The first rows, which come from all centres in turn but are noisy, are a start that needs
        // every one of the iterations.
        let initial = rows.slice(s![..CLUSTERS, ..]);
        group.throughput(Throughput::Elements((ROWS * ITERATIONS) as u64));
        group.bench_function(format!("{metric}: {ITERATIONS} iterations"), |bencher| {
            bencher.iter(|| black_box(kmeans.fit_from(&rows.view(), initial)));
        });
    }
    let kmeans = checked(params(1, Metric::Euclidean));
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("seeding and 1 iteration", |bencher| {
        bencher.iter(|| black_box(kmeans.fit(&rows)));
    });
    group.finish();
}

fn resample(criterion: &mut Criterion) {
    let labels: Vec<usize> = (0..ROWS).map(|row| (row * row) % CLUSTERS).collect();
    let scores: Vec<f64> = (0..ROWS).map(|row| ((row * 7919) % ROWS) as f64).collect();
    let resample = Resample { budget: 5_000, within: Within::BestScore, seed: SEED };
    criterion.bench_function("resample 5000 of 20000, 64 clusters", |bencher| {
        bencher.iter(|| black_box(resample.draw(&labels, Some(&scores), None)));
    });
}

criterion_group!(benches, kmeans, resample);
criterion_main!(benches);
