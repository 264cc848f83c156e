//! `kill -9` in the middle of a pass: what is resumed must be what was never disturbed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_artifact::NoProgress;
use tamis_dataset::{Dataset, ReadOptions};
use tamis_ifd_scoring::IfdScorer;
use tamis_model::DType;

use crate::common::{model, tokenizer};
use crate::store::{params, write_pool};

const FOLDER: &str = "TAMIS_TEST_IFD_FOLDER";
const ROWS: usize = 300;

/// Not a test of its own: the process that the test below kills.
#[test]
#[ignore = "started by another test"]
fn child() {
    let Some(dir) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    // Bytes are compared: one thread, as a sum's order may depend on their number.
    tch::set_num_threads(1);
    let file = dir.parent().unwrap().join("pool.jsonl");
    let dataset = Dataset::open(file, &ReadOptions::default()).unwrap();
    let model = model("begins", DType::F32);
    let scorer = IfdScorer::new(model.as_ref(), tokenizer("begins"), params()).unwrap();
    scorer.run(&dataset, &dir, &mut NoProgress).unwrap();
}

fn spawn(dir: &Path) -> std::process::Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "kill::child"])
        .env(FOLDER, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), std::fs::read(e.path()).unwrap()))
        .collect()
}

/// Shards that are there.
fn shards(dir: &Path) -> usize {
    let names = std::fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    names.filter(|e| e.file_name().to_string_lossy().starts_with("terms-")).count()
}

#[test]
fn killed_twelve_times_the_store_is_byte_identical() {
    let folder = tempfile::tempdir().unwrap();
    write_pool(&folder.path().join("pool.jsonl"), ROWS);
    let (calm, stormy) = (folder.path().join("calm"), folder.path().join("stormy"));
    assert!(spawn(&calm).wait().unwrap().success());

    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let (mut interrupted, mut resumed) = (0, 0);
    for _ in 0..12 {
        let before = shards(&stormy);
        let mut child = spawn(&stormy);
        // After one to four more shards, at any moment of the next.
        let wanted = before + rng.random_range(1..=4);
        let begun = Instant::now();
        while shards(&stormy) < wanted && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "no shard came");
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_micros(rng.random_range(0..4000)));
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            interrupted += 1;
            resumed += usize::from(before > 0);
        }
    }
    assert!(interrupted >= 5 && resumed >= 4, "{interrupted} killed, {resumed} of them resumed");
    assert!(spawn(&stormy).wait().unwrap().success());
    assert_eq!(contents(&calm), contents(&stormy));
}
