//! Where an artefact comes from: every ingredient is told apart by its name.

use proptest::prelude::*;
use tamis_artifact::{ArtifactError, Bytes, Estimate, Fingerprint, Provenance, StoreWriter};

/// One ingredient each, by number, so that any of them can be changed alone.
fn provenance(changed: Option<usize>) -> Provenance {
    let value = |n: usize| if changed == Some(n) { "other" } else { "usual" };
    let nested = serde_json::json!({ "weights": value(2), "config": value(3) });
    Provenance::new()
        .source(Fingerprint::from(value(0)))
        .encoder(Fingerprint::hash(value(1)))
        .model(Fingerprint::from(nested))
        .settings(&serde_json::json!({ "damping": value(4), "layers": [1, value(5)] }))
        .unwrap()
        .made_from("factors", Fingerprint::from(value(6).to_owned()))
}

#[test]
fn any_ingredient_that_differs_is_named_and_equal_ones_go_on() {
    let names = [
        "source",
        "encoder",
        "model.weights",
        "model.config",
        "settings.damping",
        "settings.layers.1",
        "made_from.factors",
    ];
    let folder = tempfile::tempdir().unwrap();
    let open = |changed| {
        StoreWriter::create_or_resume(folder.path(), &provenance(changed).manifest("rows", 1))
    };
    drop(open(None).unwrap());
    for (n, name) in names.into_iter().enumerate() {
        let Err(ArtifactError::Mismatch { differences, .. }) = open(Some(n)) else {
            panic!("{name} was taken for the same");
        };
        assert_eq!(differences.0.len(), 1, "{name}");
        assert_eq!(differences.0[0].path, name);
    }
    drop(open(None).unwrap());
    assert_ne!(provenance(None).fingerprint(), provenance(Some(3)).fingerprint());
}

#[test]
fn estimates_add_up_and_say_their_parts() {
    let needs = Estimate::new().memory("weights", 3 << 20).memory("rows", 512).disk("rows", 7);
    assert_eq!(needs.total_memory(), Bytes((3 << 20) + 512));
    assert_eq!(needs.part("weights"), Some(Bytes(3 << 20)));
    let text = "about 3.0 MiB of memory (weights 3.0 MiB, rows 512 B) and 7 B of disk";
    assert_eq!(needs.to_string(), text);
    let one = Estimate::new().memory("rows", 2048).seconds(200.0);
    assert_eq!(one.to_string(), "about 2.0 KiB of memory, about 3 min");
    assert_eq!(Estimate::new().seconds(7200.0).to_string(), "about 0 B of memory, about 2.0 h");
    assert_eq!(Estimate::new().seconds(61.6).to_string(), "about 0 B of memory, about 62 s");
}

proptest! {
    /// A fingerprint reads back as it was written.
    #[test]
    fn fingerprints_come_back_equal(numbers in prop::collection::vec(any::<f64>(), 0..4), text in ".{0,8}") {
        let numbers: Vec<f64> = numbers.into_iter().filter(|n| n.is_finite()).collect();
        let print = Fingerprint::of(&(numbers, text)).unwrap();
        let text = serde_json::to_string(&print).unwrap();
        prop_assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), print);
    }
}
