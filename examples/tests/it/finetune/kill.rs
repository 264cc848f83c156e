//! `kill -9` at any moment: a run that is resumed ends with the bytes of one that never stopped.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};

use super::Finetune;

/// Kills the run again and again, soon after each new checkpoint, until it has come to its end.
fn storm(run: &Finetune, seed: u64) -> usize {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut killed = 0;
    for _ in 0..8 {
        let newest = if run.out.exists() { run.checkpoints().last().copied() } else { None };
        let mut child = run.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        loop {
            if child.try_wait().unwrap().is_some() {
                return killed;
            }
            if run.out.exists() && run.checkpoints().last().copied() > newest {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "no checkpoint came");
            sleep(Duration::from_micros(200));
        }
        sleep(Duration::from_micros(rng.random_range(0..30_000)));
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            killed += 1;
        }
    }
    killed
}

fn survives(name: &str, change: impl Fn(Finetune) -> Finetune) {
    let folder = tempfile::tempdir().unwrap();
    let run = |out: &str| {
        let run = Finetune::new(folder.path(), out);
        change(run.with("checkpoint-every", 2).with("keep", 1).with("eval-every", 6))
    };
    let (calm, stormy) = (run("calm"), run("stormy"));
    calm.succeed();
    let killed = storm(&stormy, 11);
    println!("{name}: killed {killed} times");
    assert!(killed >= 3, "{name}: killed only {killed} times");
    stormy.succeed();
    assert!(stormy.model() == calm.model(), "{name}: the models differ");
    assert_eq!(stormy.timeless(), calm.timeless(), "{name}");
    assert_eq!(stormy.checkpoints(), calm.checkpoints(), "{name}");
    // No pieces of what was being written.
    for entry in std::fs::read_dir(&stormy.out).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.extension().is_none_or(|kind| kind != "tmp"), "{}", path.display());
    }
}

#[test]
fn full_training_killed_many_times() {
    survives("full", |run| run);
}

#[test]
fn an_adapter_with_dropout_killed_many_times() {
    survives("adapter", |run| run.with("lora-rank", 4).with("lora-dropout", 0.2));
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let run = Finetune::new(folder.path(), "out").with("epochs", 400);
    let mut child = run.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !run.out.join("metrics.jsonl").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60));
        sleep(Duration::from_millis(1));
    }
    run.refuse(&["is in use by another training run"]);
    child.kill().unwrap();
    child.wait().unwrap();
}
