//! Scores against formed gradients, finite differences of real training steps, and stored rows.

use tamis_artifact::NoProgress;
use tamis_dataset::{Encoded, Encodings, SampleId};
use tamis_gradients::{
    GradientPass, Labels, PassParams, ProjectionSpec, RowType, Sink, trace_batch,
};
use tamis_influence::{InfluenceError, ScoreTable, Seeds};
use tamis_kfac::{Curvature, Damping, FactorFit, FitParams, Identity, Spectral};
use tamis_model::Reduction;
use tamis_model::{Batch, CausalLm, LayerInfo};
use tch::{Device, Kind, Tensor};

use crate::common::{model, samples};

fn pass<'a>(model: &'a dyn CausalLm, layers: &'a [LayerInfo]) -> GradientPass<'a> {
    let params = PassParams { token_budget: 40, shard_rows: 5, ..PassParams::default() };
    GradientPass { model, layers, params }
}

/// The gradient of one sample at a time, layer by layer.
fn gradients(model: &dyn CausalLm, layers: &[LayerInfo], sample: &Encoded) -> Vec<Tensor> {
    let batch = Batch::new(&[sample], Device::Cpu).unwrap();
    let id = [sample.id.as_ref()];
    let trace = trace_batch(model, &batch, &id, layers, Reduction::Mean, Labels::Data).unwrap();
    trace.layers.iter().map(|l| l.formed().unwrap().get(0)).collect()
}

fn fitted(model: &dyn CausalLm, layers: &[LayerInfo], data: &[Encoded]) -> Spectral {
    let fit = FactorFit { model, layers, params: FitParams::default() };
    let factors = fit.sum(data, &mut NoProgress).unwrap();
    Spectral::kfac(&factors, Damping::default(), Kind::Double).unwrap()
}

#[test]
fn scores_are_inner_products_with_solved_seed_gradients() {
    for name in ["llama", "gpt2"] {
        let (model, layers) = model(name);
        let (pool, chosen) = (samples(model.as_ref(), 7, 1), samples(model.as_ref(), 3, 2));
        let kfac = fitted(model.as_ref(), &layers, &pool);
        let pass = pass(model.as_ref(), &layers);
        for curvature in [&Identity as &dyn Curvature, &kfac] {
            let seeds = Seeds::new(&pass, &chosen, curvature).unwrap();
            let found = pass.rows_of(&pool, &seeds).unwrap().rows;
            for (n, candidate) in pool.iter().enumerate() {
                for (q, seed) in chosen.iter().enumerate() {
                    let g = gradients(model.as_ref(), &layers, candidate);
                    let s = gradients(model.as_ref(), &layers, seed);
                    let expected: f64 = layers
                        .iter()
                        .zip(g.iter().zip(&s))
                        .map(|(layer, (g, s))| {
                            let solved = curvature.solve(layer, &s.unsqueeze(0)).unwrap().get(0);
                            (solved * g).sum(Kind::Double).double_value(&[])
                        })
                        .sum();
                    let found = found.double_value(&[n as i64, q as i64]);
                    assert!((found - expected).abs() < 1e-9 * expected.abs().max(1e-6), "{name}");
                }
            }
        }
    }
}

fn loss(model: &dyn CausalLm, layers: &[LayerInfo], sample: &Encoded) -> f64 {
    let batch = Batch::new(&[sample], Device::Cpu).unwrap();
    let id = [sample.id.as_ref()];
    let trace = trace_batch(model, &batch, &id, layers, Reduction::Mean, Labels::Data).unwrap();
    trace.losses.double_value(&[0])
}

/// The sign: a gradient step on a candidate lowers a seed's loss by step × influence.
#[test]
fn positive_influence_means_that_training_on_the_candidate_helps() {
    let (model, layers) = model("llama");
    let (pool, chosen) = (samples(model.as_ref(), 4, 5), samples(model.as_ref(), 3, 6));
    let pass = pass(model.as_ref(), &layers);
    let seeds = Seeds::new(&pass, &chosen, &Identity).unwrap();
    let scores = pass.rows_of(&pool, &seeds).unwrap().rows;
    let before: Vec<f64> = chosen.iter().map(|s| loss(model.as_ref(), &layers, s)).collect();
    for (n, candidate) in pool.iter().enumerate() {
        let g = gradients(model.as_ref(), &layers, candidate);
        let step = |size: f64| {
            for (layer, g) in layers.iter().zip(&g) {
                let weight = model.parameters().get(&format!("{}.weight", layer.name)).unwrap();
                let _guard = tch::no_grad_guard();
                let _ = weight.shallow_clone().f_sub_(&(g * size)).unwrap();
            }
        };
        let mut after = [Vec::new(), Vec::new()];
        let h = 1e-5;
        for (k, size) in [h, -2.0 * h].into_iter().enumerate() {
            step(size);
            after[k] = chosen.iter().map(|s| loss(model.as_ref(), &layers, s)).collect();
        }
        step(h);
        for q in 0..chosen.len() {
            // Central difference of the seed's loss along the training step.
            let lowered = (after[1][q] - after[0][q]) / (2.0 * h);
            let score = scores.double_value(&[n as i64, q as i64]);
            assert!((lowered - score).abs() < 1e-5 * score.abs().max(1e-2), "{lowered} {score}");
            assert_eq!(score > 0.0, after[0][q] < before[q]);
        }
    }
}

/// Scores from a store of full gradients are the fresh ones; from projected rows they scatter
/// around them without bias.
#[test]
fn stored_rows_give_the_fresh_scores() {
    let (model, layers) = model("qwen2");
    let (pool, chosen) = (samples(model.as_ref(), 12, 8), samples(model.as_ref(), 4, 9));
    let kfac = fitted(model.as_ref(), &layers, &pool);
    let pass = pass(model.as_ref(), &layers);
    let seeds = Seeds::new(&pass, &chosen, &kfac).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let full: ProjectionSpec = "full".parse().unwrap();
    let full = full.build(&layers, 0, Kind::Double, Device::Cpu).unwrap();
    // One pass feeds both.
    let sinks = [
        Sink::new(&seeds, "scores", dir.path().join("scores"), RowType::F32),
        Sink::new(&full, "rows", dir.path().join("rows"), RowType::F32),
    ];
    let (stores, _) = pass.run(&Encodings::of(&pool), &sinks, &mut NoProgress).unwrap();
    let [scores, rows] = &stores[..] else { panic!("{stores:?}") };

    let fresh = ScoreTable::from_scores(scores, seeds.ids()).unwrap();
    let projected = seeds.projected(&full).unwrap();
    let stored = ScoreTable::from_gradients(rows, seeds.ids(), &projected).unwrap();
    assert_eq!(fresh.candidates.len(), 12);
    let seed_norm = projected.norm().double_value(&[]) as f32;
    for (a, b) in fresh.candidates.iter().zip(&stored.candidates) {
        assert_eq!(a.info, b.info);
        for (x, y) in a.scores.iter().zip(&b.scores) {
            // Rows are stored in f32: rounding is relative to the norms, not to their small product.
            let scale = (a.info.norm as f32 * seed_norm).max(x.abs());
            assert!((x - y).abs() < 1e-6 * scale, "{x} {y} of {scale}");
        }
    }
    let wrong = ScoreTable::from_gradients(rows, seeds.ids(), &projected.narrow(1, 0, 8));
    assert!(matches!(wrong, Err(InfluenceError::Mismatch { .. })));
    let wrong = ScoreTable::from_scores(scores, &[SampleId::from("only one")]);
    assert!(matches!(wrong, Err(InfluenceError::Mismatch { .. })));

    let exact: Vec<f64> =
        fresh.candidates.iter().flat_map(|c| c.scores.iter().map(|&s| f64::from(s))).collect();
    let mut sums = vec![0.0; exact.len()];
    let mut squares = vec![0.0; exact.len()];
    let draws = 200;
    for seed in 0..draws {
        let spec: ProjectionSpec = "6x6".parse().unwrap();
        let projection = spec.build(&layers, seed, Kind::Double, Device::Cpu).unwrap();
        let rows = pass.rows_of(&pool, &projection).unwrap().rows;
        let found = rows
            .to_kind(Kind::Float)
            .matmul(&seeds.projected(&projection).unwrap().transpose(0, 1));
        let found = Vec::<f64>::try_from(found.to_kind(Kind::Double).flatten(0, -1)).unwrap();
        for (k, value) in found.into_iter().enumerate() {
            sums[k] += value;
            squares[k] += value * value;
        }
    }
    let n = draws as f64;
    for (k, &truth) in exact.iter().enumerate() {
        let mean = sums[k] / n;
        let error = ((squares[k] / n - mean * mean) / (n - 1.0)).sqrt();
        assert!((mean - truth).abs() < 5.0 * error, "{mean} ± {error}, not {truth}");
    }
}

/// Seeds for a stored, projected pool: projected first, then solved with the curvature of what is
/// stored, layer by layer.
#[test]
fn seeds_are_solved_among_projected_gradients() {
    let (model, layers) = model("gpt2");
    let (pool, chosen) = (samples(model.as_ref(), 20, 8), samples(model.as_ref(), 3, 9));
    let fit = FactorFit { model: model.as_ref(), layers: &layers, params: FitParams::default() };
    let factors = fit.sum(&pool, &mut NoProgress).unwrap();
    let pass = pass(model.as_ref(), &layers);
    let spec: ProjectionSpec = "4x6".parse().unwrap();
    let projection = spec.build(&layers, 5, Kind::Double, Device::Cpu).unwrap();
    let projected = factors.projected(&projection).unwrap().unwrap();
    let kfac = Spectral::kfac(&projected, Damping::default(), Kind::Double).unwrap();
    let found =
        Seeds::solve_projected(&pass, &chosen, projected.layers(), &kfac, &projection).unwrap();
    let plain = pass.rows_of(&chosen, &projection).unwrap().rows;
    for (n, layer) in projected.layers().iter().enumerate() {
        assert_eq!((layer.out_features, layer.in_features), (4, 6));
        let own = |rows: &Tensor| rows.narrow(1, 24 * n as i64, 24).to_kind(Kind::Double);
        let expected = kfac.solve(layer, &own(&plain).reshape([3, 4, 6])).unwrap().flatten(1, -1);
        let error = (own(&found) - &expected).norm().double_value(&[]);
        assert!(error < 1e-6 * expected.norm().double_value(&[]), "{}", layer.name);
    }
    let sparse: ProjectionSpec = "sparse:64".parse().unwrap();
    let sparse = sparse.build(&layers, 5, Kind::Double, Device::Cpu).unwrap();
    assert!(factors.projected(&sparse).unwrap().is_none());
    let wrong = Seeds::solve_projected(&pass, &chosen, projected.layers(), &kfac, &sparse);
    assert!(matches!(wrong, Err(InfluenceError::Mismatch { .. })));
}

#[test]
fn seeds_must_be_there_and_finite() {
    let (model, layers) = model("llama");
    let pass = pass(model.as_ref(), &layers);
    assert!(matches!(Seeds::new(&pass, &[], &Identity), Err(InfluenceError::NoSeeds)));
    let chosen = samples(model.as_ref(), 3, 6);
    let embedding = model.parameters().get("model.embed_tokens.weight").unwrap();
    let _ = embedding.get(i64::from(chosen[1].ids[0])).fill_(f64::NAN);
    let alone = &chosen[1..2];
    let error = Seeds::new(&pass, alone, &Identity).unwrap_err().to_string();
    assert!(error.contains("6-1"), "{error}");
}
