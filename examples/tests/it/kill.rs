//! `kill -9` at any moment: a run that is resumed ends with the bytes of one that never stopped.

use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use crate::pools;
use crate::program::{Gdig, contents};

/// When to kill: soon after this file or folder is there.
const MOMENTS: [&str; 9] = [
    "adaptation/.lock",
    "adapted",
    "factors/manifest.json",
    "factors/part-00000.safetensors",
    "basis/layer-00003.safetensors",
    "gradients/manifest.json",
    "gradients/rows-00002.safetensors",
    "gradients/rows-00007.safetensors",
    "selected.jsonl",
];

/// Waits for a file, and then a little; false if it does not come because the program has ended.
fn wait_for(path: &Path, child: &mut std::process::Child, then: Duration) -> bool {
    let begun = Instant::now();
    while !path.exists() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{} never came", path.display());
        sleep(Duration::from_micros(100));
    }
    sleep(then);
    true
}

#[test]
fn a_run_killed_nine_times_ends_like_one_undisturbed() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let gdig = |out: &str| {
        // Many small shards, so that there is something to go on with.
        Gdig::new(&pool, &seeds, &folder.path().join(out)).with("shard-rows", 4)
    };
    let calm = gdig("calm").succeed();

    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut killed = Vec::new();
    for moment in MOMENTS {
        let gdig = gdig("stormy");
        let mut child = gdig.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let little = Duration::from_micros(rng.random_range(0..8000));
        let seen = wait_for(&folder.path().join("stormy").join(moment), &mut child, little);
        child.kill().unwrap();
        if !child.wait().unwrap().success() && seen {
            killed.push(moment);
        }
    }
    println!("killed at {killed:?}");
    assert!(killed.len() >= 4, "killed in the middle only at {killed:?}");

    let stormy = gdig("stormy").succeed();
    assert_eq!(stormy.result(), calm.result());
    for stage in ["adaptation", "adapted", "factors", "basis", "gradients", "scores"] {
        let (left, right) = (contents(&stormy.out.join(stage)), contents(&calm.out.join(stage)));
        assert!(left == right, "{stage} differs");
    }
    // No pieces of files that were being written.
    let names: Vec<_> = contents(&stormy.out).into_keys().collect();
    let calm_names: Vec<_> = contents(&calm.out).into_keys().collect();
    assert_eq!(names, calm_names);
}
