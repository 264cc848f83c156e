//! Atomic files and hashes.

use std::fs;

use tamis_artifact::{
    ArtifactError, AtomicFile, hash_bytes, hash_file, rename_folder, write_atomic,
};

use crate::contents;

#[test]
fn files_are_made_and_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    write_atomic(&path, "old").unwrap();
    write_atomic(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(contents(folder.path()).len(), 1);
}

#[test]
fn what_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent/run.json");
    let refused = write_atomic(&path, "12345").unwrap_err().to_string();
    assert!(refused.contains("5 bytes") && refused.contains("absent/run.json"), "{refused}");
    let nameless = write_atomic("/", "");
    assert!(matches!(nameless, Err(ArtifactError::NoFileName { .. })), "{nameless:?}");
    // A folder cannot be replaced; what was written for it does not stay.
    fs::create_dir(folder.path().join("taken")).unwrap();
    write_atomic(folder.path().join("taken"), "x").unwrap_err();
    assert_eq!(contents_of_folder(folder.path()), ["taken"]);
}

fn contents_of_folder(dir: &std::path::Path) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_under_way_is_not_seen_until_it_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.txt");
    fs::write(&path, "old").unwrap();
    fs::write(folder.path().join(".rows.txt.tmp"), "what a killed process left").unwrap();
    let mut file = AtomicFile::create(&path).unwrap();
    file.put("a").unwrap();
    std::io::Write::write_all(&mut file, b"b").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(file.commit().unwrap(), path);
    assert_eq!(fs::read(&path).unwrap(), b"ab");

    let mut file = AtomicFile::create(&path).unwrap();
    file.put("never to be seen").unwrap();
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), b"ab");
    assert_eq!(contents_of_folder(folder.path()), ["rows.txt"]);
}

#[test]
fn a_folder_is_renamed_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("unfinished"), folder.path().join("model"));
    fs::create_dir(&from).unwrap();
    write_atomic(from.join("weights"), "w").unwrap();
    rename_folder(&from, &to).unwrap();
    assert!(!from.exists());
    assert_eq!(fs::read(to.join("weights")).unwrap(), b"w");
    // One that holds something is not replaced.
    fs::create_dir(&from).unwrap();
    let refused = rename_folder(&from, &to).unwrap_err().to_string();
    assert!(refused.contains("model"), "{refused}");
    assert_eq!(fs::read(to.join("weights")).unwrap(), b"w");
}

#[test]
fn hashes_are_blake3() {
    // From the BLAKE3 reference: the hash of nothing, and of the bytes 0, 1, …, 250, 0, 1, … (1024).
    let nothing = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
    assert_eq!(hash_bytes(b""), nothing);
    let bytes: Vec<u8> = (0..1024).map(|i| (i % 251) as u8).collect();
    let hash = "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7";
    assert_eq!(hash_bytes(&bytes), hash);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| i.wrapping_mul(i) as u8).collect();
    fs::write(&path, &bytes).unwrap();
    assert_eq!(hash_file(&path).unwrap(), hash_bytes(&bytes));
    let refused = hash_file(folder.path().join("absent")).unwrap_err().to_string();
    assert!(refused.contains("absent"), "{refused}");
}
