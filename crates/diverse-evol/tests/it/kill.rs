//! `kill -9` at random moments: the resumed run ends with the bytes of one that never stopped.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tamis_diverse_evol::{EvolParams, Models};

use crate::fakes::{World, contents};

/// The child process finds its folder here.
const FOLDER: &str = "TAMIS_DIVERSE_EVOL_KILL_TEST";
const KILLS: u32 = 12;

/// Not a test, but the program the test below kills.
#[test]
#[ignore = "the program that is killed; `survives_kill_9` starts it"]
fn program() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let mut world = World::at(Path::new(&folder));
    world.params = EvolParams { models: Models::Every, keep_models: false, ..world.params };
    world.trainer.pace = Duration::from_millis(2);
    world.run("out");
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::program", "--ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let calm = folder.path().join("calm");
    assert!(start(&calm).wait().unwrap().success());
    let (whole, expected) = (begun.elapsed(), contents(&calm.join("out")));
    let mut killed = 0;
    let stormy = folder.path().join("stormy");
    for kill in 0..KILLS {
        // Later and later, so that the run comes forward although most of it is a start.
        let mut child = start(&stormy);
        sleep(whole / 3 + whole * kill / (2 * KILLS));
        child.kill().unwrap();
        killed += u32::from(!child.wait().unwrap().success());
    }
    assert!(killed >= 3, "{killed}");
    assert!(start(&stormy).wait().unwrap().success());
    let found = contents(&stormy.join("out"));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    assert!(found == expected);
    assert!(fs::read_to_string(stormy.join("out/times.jsonl")).is_ok());
}
