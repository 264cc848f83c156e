//! Writing, reading and resuming a store.

use std::fs;

use tamis_artifact::{ArtifactError, Store, StoreWriter, hash_bytes};

use crate::{contents, manifest, shard_bytes, shard_name, with_shards};

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("deep/er");
    let store = with_shards(&dir, 3);
    assert!(!store.is_complete());
    let written = store.finish().unwrap().fingerprint();
    let again = StoreWriter::create_or_resume(&dir, &manifest()).unwrap();
    assert!(again.is_complete());
    assert_eq!(again.finish().unwrap().fingerprint(), written);

    let store = Store::open(&dir).unwrap();
    assert_eq!(store.manifest(), &manifest());
    assert_eq!(store.fingerprint(), written);
    assert_eq!(store.shards().collect::<Vec<_>>(), ["rows-00000", "rows-00001", "rows-00002"]);
    for number in 0..3 {
        let (name, bytes) = (shard_name(number), shard_bytes(number));
        assert_eq!(store.read(&name).unwrap(), bytes);
        let entry = store.entry(&name).unwrap();
        assert_eq!((entry.bytes, &entry.blake3), (bytes.len() as u64, &hash_bytes(&bytes)));
    }
    store.verify().unwrap();
    let names: Vec<String> = contents(&dir).into_keys().collect();
    let expected =
        [".lock", "journal.jsonl", "manifest.json", "rows-00000", "rows-00001", "rows-00002"];
    assert_eq!(names, expected);
}

#[test]
fn an_unfinished_store_does_not_open_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    drop(with_shards(folder.path(), 2));
    let refused = Store::open(folder.path()).unwrap_err();
    assert!(matches!(refused, ArtifactError::Unfinished { shards: 2, .. }), "{refused}");
    assert!(refused.to_string().contains("run its stage again"), "{refused}");

    let mut store = StoreWriter::create_or_resume(folder.path(), &manifest()).unwrap();
    assert!(store.has(&shard_name(1)) && !store.has(&shard_name(2)));
    assert_eq!(store.read(&shard_name(1)).unwrap(), shard_bytes(1));
    let missing = store.read(&shard_name(2)).unwrap_err().to_string();
    assert!(missing.contains("has no shard `rows-00002` yet"), "{missing}");
    store.write(&shard_name(2), &shard_bytes(2)).unwrap();
    store.finish().unwrap();

    let undisturbed = tempfile::tempdir().unwrap();
    with_shards(undisturbed.path(), 3).finish().unwrap();
    assert_eq!(contents(folder.path()), contents(undisturbed.path()));
}

#[test]
fn an_empty_store_can_be_finished() {
    let folder = tempfile::tempdir().unwrap();
    with_shards(folder.path(), 0).finish().unwrap();
    assert_eq!(Store::open(folder.path()).unwrap().shards().len(), 0);
}

#[test]
fn pieces_of_an_interrupted_run_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    drop(with_shards(folder.path(), 2));
    let piece = folder.path().join(".rows-00002.tmp");
    fs::write(&piece, "half").unwrap();
    // Renamed into place, but killed before its line was in the journal.
    fs::write(folder.path().join("rows-00002"), "half").unwrap();
    let mut store = StoreWriter::create_or_resume(folder.path(), &manifest()).unwrap();
    assert!(!piece.exists());
    assert!(!store.has("rows-00002"));
    store.write("rows-00002", b"whole").unwrap();
    assert_eq!(store.read("rows-00002").unwrap(), b"whole");
}

#[test]
fn a_store_killed_at_birth_begins_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".lock"), "").unwrap();
    fs::write(folder.path().join("journal.jsonl"), "").unwrap();
    fs::write(folder.path().join(".manifest.json.tmp"), "{\"ki").unwrap();
    with_shards(folder.path(), 1).finish().unwrap();
    assert_eq!(contents(folder.path()).len(), 4);
}

#[test]
fn two_writers_are_refused_and_the_lock_ends_with_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let first = with_shards(folder.path(), 1);
    let second = StoreWriter::create_or_resume(folder.path(), &manifest());
    assert!(matches!(second, Err(ArtifactError::Locked { .. })), "{second:?}");
    assert!(second.unwrap_err().to_string().contains("another process"));
    drop(first);
    StoreWriter::create_or_resume(folder.path(), &manifest()).unwrap();
}

#[test]
fn misuse_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = with_shards(folder.path(), 1);
    let again = store.write(&shard_name(0), b"other");
    assert!(matches!(again, Err(ArtifactError::AlreadyCommitted { .. })));
    assert_eq!(store.read(&shard_name(0)).unwrap(), shard_bytes(0));

    let long = "x".repeat(251);
    for name in ["", ".hidden", "a/b", "..", "manifest.json", "Journal.jsonl", "ü", &long] {
        let refused = store.write(name, b"");
        assert!(matches!(refused, Err(ArtifactError::ShardName { .. })), "{name}");
    }
    store.write(&long[1..], b"").unwrap();

    store.finish().unwrap();
    let mut store = StoreWriter::create_or_resume(folder.path(), &manifest()).unwrap();
    assert!(store.is_complete());
    assert!(matches!(store.write("new", b""), Err(ArtifactError::Finished { .. })));
}

#[test]
fn folders_that_are_no_stores_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let opened = Store::open(folder.path());
    assert!(matches!(opened, Err(ArtifactError::NotAStore { .. })), "{opened:?}");
    fs::write(folder.path().join("thesis.tex"), "").unwrap();
    let made = StoreWriter::create_or_resume(folder.path(), &manifest()).unwrap_err();
    assert!(matches!(made, ArtifactError::NotEmpty { .. }), "{made}");
    assert!(made.to_string().contains("`thesis.tex`"), "{made}");
    assert_eq!(contents(folder.path()).len(), 1);

    let file = folder.path().join("thesis.tex");
    let made = StoreWriter::create_or_resume(&file, &manifest()).unwrap_err();
    assert!(made.to_string().contains("thesis.tex"), "{made}");
}
