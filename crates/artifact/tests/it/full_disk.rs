//! A full disk is an error that names the file and the bytes; nothing committed is lost.

#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tamis_artifact::{ArtifactError, Store, StoreWriter};

use crate::{manifest, shard_bytes, shard_name, with_shards};

/// A file system in memory of some pages; unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=128k", "tamis-test"])
            .arg(at)
            .output()
            .ok()?
            .status;
        status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn assert_refused(error: &ArtifactError, file: &str, bytes: usize) {
    assert!(matches!(error, ArtifactError::Write { .. }), "{error:?}");
    let message = error.to_string();
    let parts = [file, &format!("{bytes} bytes"), "No space left on device"];
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
}

#[test]
fn a_small_file_system_fills_up() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        println!("skipped: mounting a tmpfs needs root; `a_full_device` still runs");
        return;
    };
    let dir = disk.0.join("store");
    let mut store = with_shards(&dir, 3);
    let large = vec![1; 200_000];
    let error = store.write("large", &large).unwrap_err();
    assert_refused(&error, "large", large.len());
    assert!(!dir.join(".large.tmp").exists());

    // Room enough for small shards again, until they fill it as well.
    let full = (3..100).find_map(|number| {
        store.write(&shard_name(number), &shard_bytes(number)).err().map(|error| (number, error))
    });
    let (first_missing, error) = full.unwrap();
    assert!(matches!(error, ArtifactError::Write { .. }), "{error:?}");
    assert!(first_missing > 5);
    drop(store);
    let mut store = StoreWriter::create_or_resume(&dir, &manifest()).unwrap();
    store.verify().unwrap();
    assert_eq!(store.shards().count(), first_missing);

    // Tried again once there is room.
    let resized =
        Command::new("mount").args(["-o", "remount,size=4m"]).arg(&disk.0).status().unwrap();
    assert!(resized.success());
    store.write(&shard_name(first_missing), &shard_bytes(first_missing)).unwrap();
    store.finish().unwrap();
    Store::open(&dir).unwrap().verify().unwrap();
}

#[test]
fn a_full_device() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = with_shards(folder.path(), 2);
    // The temporary file leads to the device on which every write finds no space.
    let temporary = folder.path().join(".rows-00002.tmp");
    std::os::unix::fs::symlink("/dev/full", &temporary).unwrap();
    let error = store.write("rows-00002", &shard_bytes(2)).unwrap_err();
    assert_refused(&error, "rows-00002", shard_bytes(2).len());
    assert!(fs::symlink_metadata(temporary).is_err(), "the piece stayed");
    store.verify().unwrap();
    store.write("rows-00002", &shard_bytes(2)).unwrap();
    store.finish().unwrap();
    Store::open(folder.path()).unwrap().verify().unwrap();
}

#[test]
fn a_journal_without_room_is_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        println!("skipped: mounting a tmpfs needs root; `a_full_device` still runs");
        return;
    };
    // Empty shards take no page, so it is the journal that runs into the end of the disk, within a
    // line: the page it has is still filled.
    let dir = disk.0.join("store");
    let mut store = with_shards(&dir, 0);
    store.write("empty-0", b"").unwrap();
    let pages = (0..).take_while(|&i| fs::write(disk.0.join(format!("b{i}")), [0; 4096]).is_ok());
    assert!(pages.count() > 5);
    let error = (1..100).find_map(|i| store.write(&format!("empty-{i}"), b"").err()).unwrap();
    assert!(error.to_string().contains("journal.jsonl"), "{error}");
    let committed = store.shards().count();
    assert!(committed > 5);
    assert_eq!(fs::read(dir.join("journal.jsonl")).unwrap().len(), 4096, "a torn line");
    fs::remove_file(disk.0.join("b0")).unwrap();
    store.write(&format!("empty-{committed}"), b"").unwrap();
    drop(store);
    let store = StoreWriter::create_or_resume(&dir, &manifest()).unwrap();
    store.verify().unwrap();
    assert_eq!(store.shards().count(), committed + 1);
}
