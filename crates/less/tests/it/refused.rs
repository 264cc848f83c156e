//! What does not belong together is refused, naming the field.

use std::path::PathBuf;

use tamis_artifact::NoProgress;
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{GradientPass, PassParams, RowType, Sink};
use tamis_less::{Directions, FeatureParams, LessScores, WarmCheckpoint};
use tamis_model::DType;
use tamis_selection::targets::Target;
use tch::{Kind, Tensor};

use crate::common::{fixture, params, samples, warm_up};
use tamis_less::Direction::{Paper, Plain, Reference};

#[test]
fn features_of_another_ingredient_are_refused_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let first = warm_up("llama", DType::F32, &dir.path().join("first"), 1);
    let second = warm_up("llama", DType::F32, &dir.path().join("second"), 2);
    let mut model = fixture("llama", DType::F32);
    let pool = samples(&*model, 4, 10, 3);
    let mut changed = pool.clone();
    changed[2].ids[1] += 1;
    let (settings, usual) = (params(Paper, "sparse:64"), PassParams::default());
    let mut run = |folder: &PathBuf, settings: &FeatureParams, pool: &[Encoded], how, dtype| {
        let mut warm = WarmCheckpoint::open(folder, &*model).unwrap();
        let layers = warm.layers(&*model);
        let features = warm.features(&layers, settings).unwrap();
        let adapted = warm.adapted(model.as_mut());
        let pass = GradientPass { model: &adapted, layers: &layers, params: how };
        let sink = Sink::new(&features, "less", dir.path().join("store"), dtype);
        pass.run(&Encodings::of(pool), &[sink], &mut NoProgress).map(|(_, report)| report)
    };
    let f16 = RowType::F16;
    run(&first[0], &settings, &pool, usual, f16).unwrap();
    assert_eq!(run(&first[0], &settings, &pool, usual, f16).unwrap().resumed, 4);
    let reference = params(Reference, "sparse:64");
    let (fewer, dense) = (params(Paper, "sparse:65"), params(Paper, "rademacher:64"));
    let seed = FeatureParams { seed: 6, ..settings };
    let budget = PassParams { token_budget: 99, ..usual };
    for (field, found) in [
        ("made_from.reducer.warmup", run(&second[0], &settings, &pool, usual, f16)),
        ("made_from.reducer.warmup", run(&first[1], &settings, &pool, usual, f16)),
        ("source.tokens", run(&first[0], &settings, &changed, usual, f16)),
        ("source.rows", run(&first[0], &settings, &pool[1..], usual, f16)),
        ("made_from.reducer.direction", run(&first[0], &reference, &pool, usual, f16)),
        ("made_from.reducer.projection", run(&first[0], &fewer, &pool, usual, f16)),
        ("made_from.reducer.projection", run(&first[0], &dense, &pool, usual, f16)),
        ("made_from.reducer.projection_seed", run(&first[0], &seed, &pool, usual, f16)),
        ("settings.token_budget", run(&first[0], &settings, &pool, budget, f16)),
        ("row_type", run(&first[0], &settings, &pool, usual, RowType::F32)),
    ] {
        let error = found.unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}")), "{field}: {error}");
    }
    assert_eq!(run(&first[0], &settings, &pool, usual, f16).unwrap().resumed, 4);
}

#[test]
fn directions_of_another_checkpoint_do_not_score_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let folders = warm_up("llama", DType::F32, dir.path(), 1);
    let mut model = fixture("llama", DType::F32);
    let settings = params(Paper, "sparse:64");
    let mut warm = WarmCheckpoint::open(&folders[0], &*model).unwrap();
    let later = WarmCheckpoint::open(&folders[1], &*model).unwrap();
    let layers = warm.layers(&*model);
    let path = dir.path().join("store");
    let features = warm.features(&layers, &settings).unwrap();
    let data = samples(&*model, 4, 10, 3);
    let store = {
        let adapted = warm.adapted(model.as_mut());
        let pass = GradientPass { model: &adapted, layers: &layers, params: PassParams::default() };
        let sink = Sink::new(&features, "less", path, RowType::F32);
        pass.run(&Encodings::of(&data), &[sink], &mut NoProgress).unwrap().0.remove(0)
    };
    let rows = || Tensor::ones([1, 64], (Kind::Double, tch::Device::Cpu));
    let mut scores = LessScores::new(vec![Target::new("a", "a")]);
    scores.add(&Directions::new(rows(), &warm, &settings), &store).unwrap();
    let error = scores.add(&Directions::new(rows(), &later, &settings), &store).unwrap_err();
    assert!(error.to_string().contains("warmup"), "{error}");
    let plain = params(Plain, "sparse:64");
    let error = scores.add(&Directions::new(rows(), &warm, &plain), &store).unwrap_err();
    assert!(error.to_string().contains("direction"), "{error}");
}

#[test]
fn a_checkpoint_of_another_model_or_without_an_epoch_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folders = warm_up("llama", DType::F32, dir.path(), 1);
    let other = fixture("gpt2", DType::F32);
    assert!(WarmCheckpoint::open(&folders[0], &*other).is_err());
    let error = WarmCheckpoint::open(dir.path(), &*other).unwrap_err().to_string();
    assert!(error.contains("trainer.json"), "{error}");
}
