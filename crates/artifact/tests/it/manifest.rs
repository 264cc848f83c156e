//! Manifests: equality, differences, their form on disk.

use std::fs;

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tamis_artifact::{Manifest, StoreWriter};

use crate::manifest;

fn of(fields: Value) -> Manifest {
    let Value::Object(fields) = fields else { panic!("not an object") };
    Manifest { kind: "kind".to_owned(), format: 1, fields }
}

#[test]
fn differences_name_dotted_paths_and_both_values() {
    let stored =
        of(json!({"model": {"hash": "aa", "layers": ["q", "k"], "tied": true}, "seed": 1}));
    let cases = [
        (json!({"model": {"hash": "aa", "layers": ["q", "k"], "tied": true}, "seed": 1}), ""),
        (
            json!({"model": {"hash": "bb", "layers": ["q", "k"], "tied": true}, "seed": 1}),
            "field `model.hash` is \"aa\", expected \"bb\"",
        ),
        (
            json!({"model": {"hash": "aa", "layers": ["q", "v"], "tied": true}, "seed": 1}),
            "field `model.layers.1` is \"k\", expected \"v\"",
        ),
        (
            json!({"model": {"hash": "aa", "layers": ["q"], "tied": true}, "seed": 1}),
            "field `model.layers` is [\"q\",\"k\"], expected [\"q\"]",
        ),
        (
            json!({"model": {"hash": "aa", "layers": ["q", "k"]}, "seed": 1, "dtype": "f16"}),
            "field `model.tied` is true, expected absent; field `dtype` is absent, expected \"f16\"",
        ),
        (json!({"model": 3, "seed": 1}), "field `model` is {"),
    ];
    for (expected, message) in cases {
        let differences = stored.differences(&of(expected));
        assert_eq!(differences.is_empty(), message.is_empty());
        assert!(differences.to_string().starts_with(message), "{differences}");
    }
    let mut other = stored.clone();
    other.kind = "other".to_owned();
    other.format = 2;
    let expected = "field `kind` is \"kind\", expected \"other\"; field `format` is 1, expected 2";
    assert_eq!(stored.differences(&other).to_string(), expected);
}

#[test]
fn long_values_and_many_differences_are_shortened() {
    let layers: Vec<String> = (0..300).map(|i| format!("model.layers.{i}")).collect();
    let stored = of(json!({"layers": layers}));
    let message = stored.differences(&of(json!({"layers": ["x"]}))).to_string();
    assert!(message.contains("(300 items)") && message.len() < 250, "{message}");
    let renamed: Vec<String> = layers.iter().map(|name| format!("{name}.q")).collect();
    let message = stored.differences(&of(json!({"layers": renamed}))).to_string();
    assert!(
        message.contains("`layers.0`") && message.ends_with("and 296 more fields"),
        "{message}"
    );
}

#[test]
fn fields_are_found_by_dotted_path() {
    let manifest = of(json!({"a": {"b": [{"c": 1}, 2]}, "x.y": {"z": 3}}));
    for (path, value) in [
        ("a.b.0.c", Some(json!(1))),
        ("a.b.1", Some(json!(2))),
        ("x.y.z", Some(json!(3))),
        ("a.b.2", None),
        ("a.b.x", None),
        ("a.b.1.c", None),
        ("", None),
    ] {
        assert_eq!(manifest.field(path), value.as_ref(), "{path}");
    }
}

#[test]
fn expect_refuses_artefacts_that_do_not_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let store = StoreWriter::create_or_resume(folder.path(), &manifest()).unwrap();
    let store = store.finish().unwrap();
    store.expect("model.blake3", &json!("ab12")).unwrap();
    store.expect("model.layers", &json!(["q", "k", "v"])).unwrap();
    let refused = store.expect("model.blake3", &json!("cd34")).unwrap_err().to_string();
    assert!(refused.contains("field `model.blake3` is \"ab12\", expected \"cd34\""), "{refused}");
    assert!(refused.contains("use another --out or delete"), "{refused}");
    let refused = store.expect("tokenizer", &json!("x")).unwrap_err().to_string();
    assert!(refused.contains("field `tokenizer` is absent"), "{refused}");
}

#[test]
fn a_value_without_a_json_form_is_refused() {
    let map = std::collections::BTreeMap::from([((1, 2), 3)]);
    let refused = Manifest::new("kind", 1).with("map", map).unwrap_err().to_string();
    assert!(refused.contains("`map`"), "{refused}");
}

#[test]
fn the_order_of_fields_does_not_matter() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let forward = of(json!({"a": 1, "b": {"c": 2, "d": 3}}));
    let backward = of(json!({"b": {"d": 3, "c": 2}, "a": 1}));
    drop(StoreWriter::create_or_resume(&one, &forward).unwrap());
    drop(StoreWriter::create_or_resume(&two, &backward).unwrap());
    drop(StoreWriter::create_or_resume(&one, &backward).unwrap());
    let [one, two] = [one, two].map(|dir| fs::read(dir.join("manifest.json")).unwrap());
    assert_eq!(one, two);
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<f32>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((".{0,4}", inner), 0..4)
                .prop_map(|items| Value::from(items.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// A run is never refused by the store it made itself, whatever is in its manifest.
    #[test]
    fn every_manifest_comes_back_equal(values in prop::collection::vec(("[a-z.]{1,6}", any_value()), 0..5)) {
        let manifest = of(Value::from(values.into_iter().collect::<Map<_, _>>()));
        let folder = tempfile::tempdir().unwrap();
        drop(StoreWriter::create_or_resume(folder.path(), &manifest).unwrap());
        let store = StoreWriter::create_or_resume(folder.path(), &manifest).unwrap();
        prop_assert!(store.manifest().differences(&manifest).is_empty());
    }
}
