//! `kill -9` in the middle of a pass: what is resumed must be what was never disturbed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use tamis_artifact::NoProgress;
use tamis_dataset::Encodings;
use tamis_gradients::{GradientPass, PassParams, RowType, Sink};
use tamis_less::{Direction, WarmCheckpoint};
use tamis_model::DType;

use crate::common::{fixture, params, samples, warm_up};

const FOLDER: &str = "TAMIS_TEST_LESS_FOLDER";
const CHECKPOINT: &str = "TAMIS_TEST_LESS_CHECKPOINT";

fn run_pass(dir: &Path, checkpoint: &Path) {
    // Bytes are compared: one thread, as a sum's order may depend on their number.
    tch::set_num_threads(1);
    let mut model = fixture("llama", DType::F32);
    let data = samples(model.as_ref(), 240, 16, 6);
    let mut warm = WarmCheckpoint::open(checkpoint, model.as_ref()).unwrap();
    let layers = warm.layers(model.as_ref());
    let settings = params(Direction::Paper, "sparse:512");
    let features = warm.features(&layers, &settings).unwrap();
    let adapted = warm.adapted(model.as_mut());
    let how = PassParams { shard_rows: 6, token_budget: 64, ..PassParams::default() };
    let pass = GradientPass { model: &adapted, layers: &layers, params: how };
    let sink = Sink::new(&features, "less", dir, RowType::F16);
    pass.run(&Encodings::of(&data), &[sink], &mut NoProgress).unwrap();
}

/// Not a test of its own: the process that the test below kills.
#[test]
#[ignore = "started by another test"]
fn child() {
    if let (Some(dir), Some(checkpoint)) = (std::env::var_os(FOLDER), std::env::var_os(CHECKPOINT))
    {
        run_pass(&PathBuf::from(dir), &PathBuf::from(checkpoint));
    }
}

fn spawn(dir: &Path, checkpoint: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "kill::child"])
        .env(FOLDER, dir)
        .env(CHECKPOINT, checkpoint)
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
fn killed_six_times_the_store_is_byte_identical() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = warm_up("llama", DType::F32, &folder.path().join("warmup"), 3).remove(0);
    let (calm, stormy) = (folder.path().join("calm"), folder.path().join("stormy"));
    let begun = Instant::now();
    assert!(spawn(&calm, &checkpoint).wait().unwrap().success());
    let undisturbed = begun.elapsed();

    let mut rng = ChaCha8Rng::seed_from_u64(98);
    let mut interrupted = 0;
    for _ in 0..6 {
        let mut child = spawn(&stormy, &checkpoint);
        let share = rng.random_range(0.1..0.5);
        std::thread::sleep(Duration::from_secs_f64(undisturbed.as_secs_f64() * share));
        child.kill().unwrap();
        if !child.wait().unwrap().success() {
            interrupted += 1;
        }
    }
    assert!(interrupted >= 2, "only {interrupted} runs were killed in the middle");
    assert!(spawn(&stormy, &checkpoint).wait().unwrap().success());
    assert_eq!(contents(&calm), contents(&stormy));
}
