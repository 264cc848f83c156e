//! Every row has a name of its own, the same whenever the file is read.

use std::collections::HashSet;

use proptest::prelude::*;
use tamis_dataset::{DatasetError, Message, Sample, SampleId};

use crate::support::{Folder, all, ids, instruction, pair, talk};

#[test]
fn given_ids_are_kept() {
    let folder = Folder::new();
    let data = folder
        .open(
            "a.jsonl",
            "{\"id\": \"a b\", \"src\": \"x\", \"tgt\": \"y\"}\n{\"id\": 18446744073709551615, \"src\": \"x\", \"tgt\": \"y\"}\n{\"id\": -3, \"src\": \"x\", \"tgt\": \"y\"}\n{\"id\": null, \"src\": \"x\", \"tgt\": \"y\"}\n",
        )
        .unwrap();
    let hash = pair("x", "y").hash_id().to_string();
    assert_eq!(ids(&data), ["a b", "18446744073709551615", "-3", &hash]);
}

#[test]
fn ids_that_are_no_names_are_refused() {
    for bad in ["\"\"", "1.5", "true", "[1]"] {
        let row = format!("{{\"id\": {bad}, \"src\": \"x\", \"tgt\": \"y\"}}\n");
        let error = Folder::new().open("a.jsonl", row).unwrap_err().to_string();
        assert!(error.contains("line 1, field `id`"), "{error}");
    }
}

#[test]
fn copies_without_an_id_are_numbered() {
    let folder = Folder::new();
    let x = "{\"src\": \"x\", \"tgt\": \"y\"}\n";
    // Extra keys and spelling are not content.
    let text = format!(
        "{x}{{\"tgt\":\"y\",\"n\":1,\"src\":\"\\u0078\"}}\n{{\"src\": \"x\", \"tgt\": \"z\"}}\n{x}"
    );
    let data = folder.open("a.jsonl", text).unwrap();
    let x = pair("x", "y").hash_id();
    let z = pair("x", "z").hash_id().to_string();
    assert_eq!(ids(&data), [x.to_string(), format!("{x}#2"), z, format!("{x}#3")]);
    // Reading a part gives the same names as reading the whole.
    assert_eq!(data.read_range(3..4).unwrap()[0].id, all(&data)[3].id);
}

#[test]
fn a_copy_steps_over_an_id_that_is_taken() {
    let hash = pair("x", "y").hash_id();
    let x = "{\"src\": \"x\", \"tgt\": \"y\"}\n";
    let text = format!("{{\"id\": \"{hash}#2\", \"src\": \"a\", \"tgt\": \"b\"}}\n{x}{x}");
    let data = Folder::new();
    let data = data.open("a.jsonl", text).unwrap();
    assert_eq!(ids(&data), [format!("{hash}#2"), hash.to_string(), format!("{hash}#3")]);
}

#[test]
fn a_given_id_twice_is_an_error_or_a_reject() {
    let text = "{\"id\": 1, \"src\": \"x\", \"tgt\": \"y\"}\n\n{\"id\": \"1\", \"src\": \"p\", \"tgt\": \"q\"}\n";
    let folder = Folder::new();
    match folder.open("a.jsonl", text).unwrap_err() {
        DatasetError::DuplicateId { line, first, id, .. } => {
            assert_eq!((line, first, id.as_str()), (3, 1, "1"));
        }
        other => panic!("{other}"),
    }
    let data = folder.open_skipping("a.jsonl", text).unwrap();
    assert_eq!(ids(&data), ["1"]);
    let reject = &data.rejects()[0];
    assert_eq!((reject.line, reject.field.as_deref()), (3, Some("id")));
    assert!(reject.reason.contains("line 1"), "{reject}");
}

#[test]
fn contents_that_differ_anywhere_have_different_ids() {
    let contents = [
        instruction("a", "b", "c"),
        instruction("ab", "", "c"),
        instruction("a", "bc", ""),
        pair("a", "b"),
        pair("ab", ""),
        pair("translation", "a"),
        talk(&[("user", "a"), ("assistant", "b")]),
        talk(&[("user", "aassistant"), ("", "b")]),
        talk(&[("instruction", "a")]),
    ];
    let ids: HashSet<SampleId> = contents.iter().map(tamis_dataset::Content::hash_id).collect();
    assert_eq!(ids.len(), contents.len());

    // Written out by hand: the kind and each text after its length. A change would orphan every stored artefact.
    let mut bytes = Vec::new();
    for text in ["translation", "Guten Morgen!", "Good morning!"] {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    let id = pair("Guten Morgen!", "Good morning!").hash_id();
    assert!(blake3::hash(&bytes).to_hex().starts_with(id.as_str()));
    assert_eq!(id.as_str(), "f0626e8e98a1be540682");
}

#[test]
fn ids_are_json_strings() {
    let id = SampleId::from("ä \"1\"");
    let json = serde_json::to_string(&id).unwrap();
    assert_eq!(json, "\"ä \\\"1\\\"\"");
    assert_eq!(serde_json::from_str::<SampleId>(&json).unwrap(), id);
}

proptest! {
    #[test]
    fn ids_are_unique_and_stable(texts in prop::collection::vec(("[ab]{0,2}", "[ab]{0,2}"), 1..60)) {
        let text: String = texts
            .iter()
            .map(|(s, t)| format!("{{\"src\": \"{s}\", \"tgt\": \"{t}\"}}\n"))
            .collect();
        let folder = Folder::new();
        let first = ids(&folder.open("a.jsonl", &text).unwrap());
        let again = ids(&folder.open("b.jsonl", &text).unwrap());
        prop_assert_eq!(&first, &again);
        prop_assert_eq!(first.iter().collect::<HashSet<_>>().len(), texts.len());
    }
}

#[test]
fn samples_made_by_hand_are_named_by_their_content() {
    let turns = [Message::new("user", "a"), Message::new("assistant", "b")];
    for (made, content) in [
        (Sample::instruction("a", "b"), instruction("a", "", "b")),
        (Sample::with_input("a", "i", "b"), instruction("a", "i", "b")),
        (Sample::translation("a", "b"), pair("a", "b")),
        (Sample::chat(turns), talk(&[("user", "a"), ("assistant", "b")])),
    ] {
        assert_eq!((made.index, &made.id), (0, &content.hash_id()));
        assert_eq!(made.content, content);
        assert_eq!(made.with_id("x"), Sample { id: "x".into(), index: 0, content });
    }
}
