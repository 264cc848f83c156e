//! Damage of every kind is noticed and named.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tamis_artifact::{ArtifactError, Manifest, Store, StoreWriter};

use crate::{contents, manifest, shard_bytes, shard_name, with_shards};

const SHARDS: usize = 3;

fn finished(dir: &Path) {
    with_shards(dir, SHARDS).finish().unwrap();
}

/// Opens the store, or fails with the message of both ways to open it.
fn refusal(dir: &Path) -> String {
    let opened = Store::open(dir).unwrap_err().to_string();
    let resumed = StoreWriter::create_or_resume(dir, &manifest()).unwrap_err().to_string();
    assert_eq!(opened, resumed);
    opened
}

fn change_journal(dir: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let path = dir.join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_flipped_byte_in_a_shard_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    finished(folder.path());
    let path = folder.path().join(shard_name(1));
    let mut bytes = fs::read(&path).unwrap();
    bytes[1234] ^= 0x10;
    fs::write(&path, bytes).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.read(&shard_name(0)).unwrap(), shard_bytes(0));
    for error in [store.read(&shard_name(1)).unwrap_err(), store.verify().unwrap_err()] {
        assert!(matches!(error, ArtifactError::ShardChecksum { .. }));
        assert!(error.to_string().contains("rows-00001"), "{error}");
    }
}

#[test]
fn a_truncated_shard_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    finished(folder.path());
    let store = Store::open(folder.path()).unwrap();
    let path = folder.path().join(shard_name(2));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..100]).unwrap();
    let refused = refusal(folder.path());
    let named = ["rows-00002", "100 bytes", &bytes.len().to_string()];
    assert!(named.iter().all(|part| refused.contains(part)), "{refused}");
    let late = store.read(&shard_name(2));
    assert!(matches!(late, Err(ArtifactError::ShardLength { .. })), "{late:?}");
}

#[test]
fn a_missing_shard_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    finished(folder.path());
    fs::remove_file(folder.path().join(shard_name(0))).unwrap();
    let refused = refusal(folder.path());
    assert!(refused.contains("rows-00000") && refused.contains("missing"), "{refused}");
}

#[test]
fn a_foreign_manifest_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| folder.path().join(name));
    finished(&ours);
    let other = Manifest::new("test-rows", 1).with("seed", 8).unwrap();
    StoreWriter::create_or_resume(&theirs, &other).unwrap().finish().unwrap();

    // Asked for by another run.
    let refused = StoreWriter::create_or_resume(&ours, &other).unwrap_err();
    assert!(matches!(refused, ArtifactError::Mismatch { .. }));
    assert!(refused.to_string().contains("field `seed` is 7, expected 8"), "{refused}");

    // Put in place of the right one.
    fs::copy(theirs.join("manifest.json"), ours.join("manifest.json")).unwrap();
    let refused = Store::open(&ours).unwrap_err().to_string();
    assert!(refused.contains("line 1") && refused.contains("manifest.json"), "{refused}");

    fs::write(ours.join("manifest.json"), "{\"kind\": 3}").unwrap();
    let refused = Store::open(&ours).unwrap_err();
    assert!(matches!(refused, ArtifactError::BadManifest { .. }), "{refused}");
}

#[test]
fn a_torn_last_line_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let [torn, whole] = ["torn", "whole"].map(|name| folder.path().join(name));
    finished(&whole);
    let journal = fs::read(whole.join("journal.jsonl")).unwrap();
    let ends: Vec<usize> = (0..journal.len()).filter(|&i| journal[i] == b'\n').collect();
    // Cut within the line of the last shard, within the final line, and just before its end.
    let second = ends[1] + 1;
    for cut in [second + 1, second + 40, ends[2], ends[2] + 20, ends[3]] {
        let _ = fs::remove_dir_all(&torn);
        drop(with_shards(&torn, SHARDS));
        fs::write(torn.join("journal.jsonl"), &journal[..cut]).unwrap();
        let expected = if cut <= ends[2] { SHARDS - 1 } else { SHARDS };
        let refused = Store::open(&torn).unwrap_err();
        let shards = expected;
        assert!(
            matches!(refused, ArtifactError::Unfinished { shards: s, .. } if s == shards),
            "at {cut}"
        );
        let mut store = StoreWriter::create_or_resume(&torn, &manifest()).unwrap();
        for number in expected..SHARDS {
            store.write(&shard_name(number), &shard_bytes(number)).unwrap();
        }
        store.finish().unwrap();
        assert_eq!(contents(&torn), contents(&whole), "cut at {cut}");
    }
}

#[test]
fn blocks_that_a_power_cut_left_unwritten_are_dropped() {
    let folder = tempfile::tempdir().unwrap();
    drop(with_shards(folder.path(), SHARDS));
    let path = folder.path().join("journal.jsonl");
    let mut journal = fs::read(&path).unwrap();
    let start = journal[..journal.len() - 1].iter().rposition(|&b| b == b'\n').unwrap() + 1;
    journal[start..start + 50].fill(0);
    fs::write(&path, journal).unwrap();
    let store = StoreWriter::create_or_resume(folder.path(), &manifest()).unwrap();
    assert_eq!(store.shards().count(), SHARDS - 1);
}

#[test]
fn a_corrupt_line_is_refused_by_its_number() {
    type Change = fn(&mut Vec<String>);
    let cases: [(&str, Change); 7] = [
        ("line 2: does not match its checksum", |lines| {
            lines[1] = lines[1].replace("\"bytes\":3", "\"bytes\":4");
        }),
        ("line 1: does not follow", |lines| drop(lines.remove(0))),
        ("line 2: does not follow", |lines| lines.swap(1, 2)),
        ("line 3: does not follow", |lines| drop(lines.remove(2))),
        ("line 2: is too short", |lines| {
            lines.insert(1, String::new());
        }),
        ("line 2: does not end in its checksum", |lines| {
            lines[1].push(' ');
        }),
        ("line 4: does not match its checksum", |lines| {
            lines[3] = lines[3].replace("\"finished\":3", "\"finished\":2");
        }),
    ];
    for (expected, change) in cases {
        let folder = tempfile::tempdir().unwrap();
        finished(folder.path());
        change_journal(folder.path(), change);
        let refused = refusal(folder.path());
        assert!(refused.contains(expected), "{refused}: not {expected}");
        assert!(refused.contains("journal.jsonl"), "{refused}");
    }
}

#[test]
fn a_missing_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    finished(folder.path());
    fs::remove_file(folder.path().join("journal.jsonl")).unwrap();
    assert!(refusal(folder.path()).contains("journal.jsonl is missing"));
    // Without the manifest, too, the shards are nobody's.
    fs::remove_file(folder.path().join("manifest.json")).unwrap();
    let refused = StoreWriter::create_or_resume(folder.path(), &manifest()).unwrap_err();
    assert!(matches!(refused, ArtifactError::NotEmpty { .. }), "{refused}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever single bit of whatever file flips, the store never gives out wrong bytes and is never
    /// taken for another one.
    #[test]
    fn no_flipped_bit_goes_unnoticed(file in 0..5_usize, at in any::<prop::sample::Index>(), bit in 0..8) {
        let folder = tempfile::tempdir().unwrap();
        finished(folder.path());
        let names = ["manifest.json", "journal.jsonl", "rows-00000", "rows-00001", "rows-00002"];
        let path = folder.path().join(names[file]);
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        fs::write(&path, bytes).unwrap();
        match Store::open(folder.path()) {
            // Where the end of the last line was hit, it counts as torn, so the store as unfinished.
            Err(_) => {}
            Ok(store) => prop_assert!(file >= 2 && store.verify().is_err()),
        }
    }
}
