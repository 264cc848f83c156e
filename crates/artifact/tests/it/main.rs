//! The one integration test binary of `tamis-artifact`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod atomic;
mod damage;
mod full_disk;
mod kill;
mod ledger;
mod manifest;
mod parameter;
mod provenance;
mod random;
mod store;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tamis_artifact::{Manifest, StoreWriter};

/// Every file of a folder with its bytes.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fs::read_dir(dir)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())
        })
        .collect()
}

fn manifest() -> Manifest {
    Manifest::new("test-rows", 1)
        .with("seed", 7)
        .unwrap()
        .with("model", serde_json::json!({"blake3": "ab12", "layers": ["q", "k", "v"]}))
        .unwrap()
}

fn shard_name(number: usize) -> String {
    format!("rows-{number:05}")
}

/// The bytes of a shard: some kilobytes that depend on its number.
fn shard_bytes(number: usize) -> Vec<u8> {
    (0..3000 + 17 * number).map(|i| (i * i + 31 * number) as u8).collect()
}

/// A store with this many shards, not finished.
fn with_shards(dir: &Path, shards: usize) -> StoreWriter {
    let mut store = StoreWriter::create_or_resume(dir, &manifest()).unwrap();
    for number in 0..shards {
        store.write(&shard_name(number), &shard_bytes(number)).unwrap();
    }
    store
}
