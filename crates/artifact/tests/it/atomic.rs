//! Atomic files and hashes.

use std::fs;

use tamis_artifact::{ArtifactError, hash_bytes, hash_file, write_atomic};

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
