//! What does not belong together is refused, naming the field.

use serde_json::json;
use tamis_artifact::NoProgress;
use tamis_dataset::Encodings;
use tamis_gradients::{GradientPass, PassParams, RowStore, RowType, Sink};
use tamis_less::{Directions, FeatureParams, Scores, WarmCheckpoint};
use tamis_model::DType;
use tamis_selection::targets::Target;
use tch::{Kind, Tensor};

use crate::common::{fixture, params, samples, warm_up};
use tamis_less::Direction::{Paper, Plain, Reference};

#[test]
fn a_store_of_another_model_warm_up_pool_or_setting_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = warm_up("llama", DType::F32, &dir.path().join("first"), 1);
    let second = warm_up("llama", DType::F32, &dir.path().join("second"), 2);
    let model = fixture("llama", DType::F32);
    let open = |folder: &std::path::PathBuf| WarmCheckpoint::open(folder, &*model).unwrap();
    let (warm, other) = (open(&first[0]), open(&second[0]));
    let fields = |warm: &WarmCheckpoint, params: &FeatureParams, pool: &str, model: &str| {
        let mut fields = warm.manifest_fields(params);
        fields.insert("pool".to_owned(), json!(pool));
        fields.insert("model".to_owned(), json!(model));
        fields
    };
    let settings = params(Paper, "sparse:64");
    let make = |fields| {
        let store = dir.path().join("store");
        RowStore::create_or_resume(store, "less-features", fields, RowType::F16)
    };
    make(fields(&warm, &settings, "p", "m")).unwrap();
    make(fields(&warm, &settings, "p", "m")).unwrap();
    for (field, fields) in [
        ("warmup", fields(&other, &settings, "p", "m")),
        ("warmup", fields(&open(&first[1]), &settings, "p", "m")),
        ("pool", fields(&warm, &settings, "q", "m")),
        ("model", fields(&warm, &settings, "p", "n")),
        ("direction", fields(&warm, &params(Reference, "sparse:64"), "p", "m")),
        ("projection", fields(&warm, &params(Paper, "sparse:65"), "p", "m")),
        ("projection", fields(&warm, &params(Paper, "rademacher:64"), "p", "m")),
        ("projection_seed", fields(&warm, &FeatureParams { seed: 6, ..settings }, "p", "m")),
    ] {
        let error = make(fields).unwrap_err().to_string();
        assert!(error.contains(&format!("`{field}`")) || error.contains(field), "{error}");
    }
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
    let fields = warm.manifest_fields(&settings);
    let path = dir.path().join("store");
    let mut store =
        RowStore::create_or_resume(path, "less-features", fields, RowType::F32).unwrap();
    let features = warm.features(&layers, &settings).unwrap();
    let data = samples(&*model, 4, 10, 3);
    {
        let adapted = warm.adapted(model.as_mut());
        let pass = GradientPass { model: &adapted, layers: &layers, params: PassParams::default() };
        let mut sinks = [Sink { reducer: &features, store: &mut store }];
        pass.run(&Encodings::of(&data), &mut sinks, &mut NoProgress).unwrap();
    }
    let rows = || Tensor::ones([1, 64], (Kind::Double, tch::Device::Cpu));
    let mut scores = Scores::new(vec![Target::new("a", "a")]);
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
