//! `kill -9` at any moment: a run that is resumed ends with the bytes of one that never stopped.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::{Evol, timeless};

/// Runs that are killed again and again, if the first miss too many moments.
const STORMS: usize = 5;
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

/// Kills a run at each moment that it comes to; adds those at which it was in the middle. A moment may be
/// missed, as some files are there for a short time only: the run then ends by itself.
fn storm(evol: &Evol, moments: &[&'static str], rng: &mut ChaCha8Rng) -> Vec<&'static str> {
    let mut killed = Vec::new();
    for &moment in moments {
        let mut child = evol.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let little = Duration::from_micros(rng.random_range(0..4000));
        if wait_for(&evol.out.join(moment), &mut child, little) {
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        if status.success() {
            break;
        }
        assert!(status.code().is_none(), "it ended by itself, badly: {status}");
        killed.push(moment);
    }
    killed
}

fn survives(name: &str, change: impl Fn(Evol) -> Evol, moments: &[&'static str], least: usize) {
    let folder = tempfile::tempdir().unwrap();
    let run = |out: &str| change(Evol::new(folder.path(), out).with("checkpoint-every", 1));
    let calm = run("calm").succeed();
    let expected = timeless(&calm);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut killed = BTreeSet::new();
    for number in 0..STORMS {
        let stormy = run(&format!("stormy-{number}"));
        let here = storm(&stormy, moments, &mut rng);
        println!("{name}: killed at {here:?}");
        let stormy = stormy.succeed();
        let found = timeless(&stormy);
        assert_eq!(found.0.keys().collect::<Vec<_>>(), expected.0.keys().collect::<Vec<_>>());
        for (path, bytes) in &expected.0 {
            assert!(found.0[path] == *bytes, "{name}: {} differs", path.display());
        }
        assert_eq!(found.1, expected.1);
        assert!(stormy.resumed("rounds") || here.is_empty());
        killed.extend(here);
        if killed.len() >= least {
            break;
        }
    }
    assert!(!calm.resumed("rounds"));
    assert!(killed.len() >= least, "{name}: killed in the middle only at {killed:?}");
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
