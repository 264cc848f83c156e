//! `LessScores` against a loop over pairs of samples.

use tamis_artifact::NoProgress;
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{GradientPass, PassParams, RowStore, RowType, Sink};
use tamis_less::{Direction, Directions, LessScores, WarmCheckpoint, target_direction};
use tamis_model::DType;
use tamis_selection::targets::{Target, TaskRule};
use tch::{Kind, Tensor};

use crate::common::{fixture, params, samples, warm_up};

fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
    let (count, _) = tensor.size2().unwrap();
    let of = |row| Vec::<f64>::try_from(tensor.get(row).to_kind(Kind::Double)).unwrap();
    (0..count).map(of).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn scores_are_weighted_means_of_cosines_over_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let folders = warm_up("llama", DType::F64, &dir.path().join("warmup"), 4);
    let mut model = fixture("llama", DType::F64);
    let pool = samples(model.as_ref(), 20, 14, 11);
    let tasks: Vec<(&str, Vec<Encoded>)> = vec![
        ("one", samples(model.as_ref(), 5, 14, 12)),
        ("two", samples(model.as_ref(), 3, 14, 13)),
    ];
    let targets: Vec<Target> = tasks.iter().map(|(name, _)| Target::new(*name, *name)).collect();
    let settings = params(Direction::Paper, "sparse:512");
    let mut scores = LessScores::new(targets);
    let (mut expected, mut total) = (vec![vec![0.0; 2]; 20], 0.0);
    for (number, folder) in folders.iter().enumerate() {
        let mut warm = WarmCheckpoint::open(folder, model.as_ref()).unwrap();
        let layers = warm.layers(model.as_ref());
        let features = warm.features(&layers, &settings).unwrap();
        let plain = warm.target_features(&layers, &settings).unwrap();
        let path = dir.path().join(format!("store-{number}"));
        let (directions, store) = {
            let adapted = warm.adapted(model.as_mut());
            let params = PassParams { shard_rows: 7, ..PassParams::default() };
            let pass = GradientPass { model: &adapted, layers: &layers, params };
            let sink = Sink::new(&features, "less", path, RowType::F32);
            let (mut stores, _) =
                pass.run(&Encodings::of(&pool), &[sink], &mut NoProgress).unwrap();
            let candidates = rows(&pass.rows_of(&pool, &features).unwrap().rows);
            for (task, (_, examples)) in tasks.iter().enumerate() {
                let examples = rows(&pass.rows_of(examples, &plain).unwrap().rows);
                for (candidate, expected) in candidates.iter().zip(&mut expected) {
                    let cosines = examples.iter().map(|example| cosine(candidate, example));
                    expected[task] +=
                        warm_rate(folder) * cosines.sum::<f64>() / examples.len() as f64;
                }
            }
            let of = |(name, examples): &(&str, Vec<Encoded>)| {
                target_direction(&pass, &plain, name, examples).unwrap()
            };
            let directions = Tensor::stack(&tasks.iter().map(of).collect::<Vec<_>>(), 0);
            (directions, stores.remove(0))
        };
        total += warm.rate();
        scores.add(&Directions::new(directions, &warm, &settings), &store).unwrap();
    }
    let found = scores.finish().unwrap();
    assert_eq!(found.candidates().len(), 20);
    for (candidate, expected) in found.candidates().iter().zip(&expected) {
        for (found, expected) in candidate.scores.iter().zip(expected) {
            let expected = expected / total;
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} {expected}");
        }
    }
    let selection = TaskRule::Max.choose(&found, 6).unwrap();
    assert_eq!(selection.count(), 6);
}

/// From the schedule: 3 steps an epoch, 6 in all, of which the first is the warm-up's.
fn warm_rate(folder: &std::path::Path) -> f64 {
    let factors = if folder.ends_with("checkpoint-3") { [0.0, 1.0, 0.8] } else { [0.6, 0.4, 0.2] };
    2e-2 * factors.iter().sum::<f64>() / 3.0
}

/// Places by rising value.
fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    order.into_iter().enumerate().for_each(|(rank, place)| ranks[place] = rank as f64);
    ranks
}

/// Spearman's rank correlation of values without ties.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let centred = |values| ranks(values).into_iter().map(|rank| rank - mean).collect::<Vec<_>>();
    cosine(&centred(a), &centred(b))
}

#[test]
fn rows_in_few_bits_rank_as_rows_in_many_do() {
    let dir = tempfile::tempdir().unwrap();
    let folder = warm_up("llama", DType::F32, &dir.path().join("warmup"), 4).remove(1);
    let mut model = fixture("llama", DType::F32);
    let pool = samples(model.as_ref(), 60, 14, 11);
    let examples = samples(model.as_ref(), 8, 14, 12);
    let settings = params(Direction::Paper, "sparse:1024");
    let mut warm = WarmCheckpoint::open(folder, model.as_ref()).unwrap();
    let layers = warm.layers(model.as_ref());
    let features = warm.features(&layers, &settings).unwrap();
    let plain = warm.target_features(&layers, &settings).unwrap();
    let types = [RowType::F32, RowType::F16, RowType::Int8, RowType::Int4, RowType::Sign];
    let (direction, stores) = {
        let adapted = warm.adapted(model.as_mut());
        let pass = GradientPass { model: &adapted, layers: &layers, params: PassParams::default() };
        let sinks = types
            .map(|dtype| Sink::new(&features, "less", dir.path().join(dtype.to_string()), dtype));
        let (stores, _) = pass.run(&Encodings::of(&pool), &sinks, &mut NoProgress).unwrap();
        (target_direction(&pass, &plain, "task", &examples).unwrap(), stores)
    };
    let directions = Directions::new(direction.unsqueeze(0), &warm, &settings);
    let score = |store: &RowStore| {
        let mut scores = LessScores::new(vec![Target::new("task", "task")]);
        scores.add(&directions, store).unwrap();
        let scores = scores.finish().unwrap();
        scores.candidates().iter().map(|candidate| candidate.scores[0]).collect::<Vec<f32>>()
    };
    let found: Vec<Vec<f32>> = stores.iter().map(score).collect();
    for ((dtype, scores), least) in types.iter().zip(&found).zip([1.0, 0.999, 0.98, 0.9, 0.6]) {
        let with_f32 = correlation(scores, &found[0]);
        assert!(with_f32 > least - 1e-12, "{dtype}: {with_f32}");
    }
}
