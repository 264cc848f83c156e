//! `kill -9` at any moment: a run that is resumed ends with the bytes of one that never stopped.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{Evol, timeless};

/// When to kill: soon after this file or folder is there.
const MOMENTS: [&str; 10] = [
    "journal.jsonl",
    "round-00/training/checkpoints/checkpoint-1",
    "round-00/training/checkpoints/checkpoint-4",
    "round-00/model.unfinished",
    "round-00/view/rows-00002.safetensors",
    "round-01/training/checkpoints/checkpoint-2",
    "round-01/model",
    "round-01/view/rows-00000.safetensors",
    "round-02/training",
    "selected.jsonl",
];

/// Waits for a file, and then a little; false if it does not come because the program has ended.
fn wait_for(path: &Path, child: &mut Child, then: Duration) -> bool {
    let begun = Instant::now();
    while !path.exists() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{} never came", path.display());
        sleep(Duration::from_micros(100));
    }
    sleep(then);
    true
}

fn survives(name: &str, change: impl Fn(Evol) -> Evol, moments: &[&str], least: usize) {
    let folder = tempfile::tempdir().unwrap();
    let run = |out: &str| change(Evol::new(folder.path(), out).with("checkpoint-every", 1));
    let calm = run("calm").succeed();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (stormy, mut killed) = (run("stormy"), Vec::new());
    for &moment in moments {
        let mut child =
            stormy.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let little = Duration::from_micros(rng.random_range(0..4000));
        let seen = wait_for(&stormy.out.join(moment), &mut child, little);
        child.kill().unwrap();
        if !child.wait().unwrap().success() && seen {
            killed.push(moment);
        }
    }
    println!("{name}: killed at {killed:?}");
    assert!(killed.len() >= least, "{name}: killed in the middle only at {killed:?}");
    let stormy = stormy.succeed();
    let (found, expected) = (timeless(&stormy), timeless(&calm));
    assert_eq!(found.0.keys().collect::<Vec<_>>(), expected.0.keys().collect::<Vec<_>>());
    for (path, bytes) in &expected.0 {
        assert!(found.0[path] == *bytes, "{name}: {} differs", path.display());
    }
    assert_eq!(found.1, expected.1);
    assert!(stormy.resumed("rounds") && !calm.resumed("rounds"));
}

#[test]
fn k_center_killed_ten_times() {
    survives("k-center", |evol| evol, &MOMENTS, 6);
}

#[test]
fn an_uncertain_adapter_killed_many_times() {
    let moments = [
        "round-00/training/checkpoints/checkpoint-2",
        "round-00/view/rows-00001.jsonl",
        "round-01/training/checkpoints/checkpoint-3",
        "round-02/view/rows-00003.jsonl",
    ];
    let change = |evol: Evol| {
        let evol = evol.with("strategy", "entropy").with("lora-rank", 4).with("lora-dropout", 0.1);
        evol.switch("drop-old-models").switch("drop-old-views")
    };
    survives("entropy", change, &moments, 2);
}
