//! `kill -9` in the middle of a gradient pass: what is resumed must be what was never disturbed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_artifact::NoProgress;
use tamis_dataset::Encodings;
use tamis_gradients::{GradientPass, PassParams, ProjectionSpec, RowType, Sink};
use tamis_model::DType;
use tch::{Device, Kind};

use crate::common::{body, fixture, samples};

const FOLDER: &str = "TAMIS_TEST_PASS_FOLDER";

fn run_pass(dir: &Path) {
    // Bytes are compared: one thread, as a sum's order may depend on their number.
    tch::set_num_threads(1);
    let model = fixture("llama", DType::F32);
    let layers = body(model.as_ref());
    let data = samples(model.as_ref(), 240, 16, 6);
    let params = PassParams { shard_rows: 6, token_budget: 64, ..PassParams::default() };
    let pass = GradientPass { model: model.as_ref(), layers: &layers, params };
    let projection = ProjectionSpec::default().build(&layers, 3, Kind::Float, Device::Cpu).unwrap();
    let sink = Sink::new(&projection, "gradients", dir, RowType::F16);
    pass.run(&Encodings::of(&data), &[sink], &mut NoProgress).unwrap();
}

/// Not a test of its own: the process that the test below kills.
#[test]
#[ignore = "started by another test"]
fn child() {
    if let Some(dir) = std::env::var_os(FOLDER) {
        run_pass(&PathBuf::from(dir));
    }
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

#[test]
fn killed_twenty_times_the_store_is_byte_identical() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, stormy) = (folder.path().join("calm"), folder.path().join("stormy"));
    let begun = std::time::Instant::now();
    assert!(spawn(&calm).wait().unwrap().success());
    let undisturbed = begun.elapsed();

    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let mut interrupted = 0;
    for _ in 0..20 {
        let mut child = spawn(&stormy);
        // Anywhere from before the first shard to near the end.
        let share = rng.random_range(0.05..0.6);
        std::thread::sleep(Duration::from_secs_f64(undisturbed.as_secs_f64() * share));
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            interrupted += 1;
        }
    }
    assert!(interrupted >= 5, "only {interrupted} runs were killed in the middle");
    assert!(spawn(&stormy).wait().unwrap().success());
    assert_eq!(contents(&calm), contents(&stormy));
}
