//! `kill -9` at many moments: the resumed run ends with the bytes of one that never stopped.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tamis_diverse_evol::{EvolParams, Models};

use crate::fakes::{World, contents};

/// The child process finds its folder here.
const FOLDER: &str = "TAMIS_DIVERSE_EVOL_KILL_TEST";
/// Kills in the middle of a run that there have to be.
const KILLS: usize = 12;
/// Runs that are killed again and again to get there; on an idle machine one or two will do.
const STORMS: usize = 20;

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

/// Whole lines of the journal.
fn lines(folder: &Path) -> usize {
    let journal = fs::read(folder.join("out/journal.jsonl")).unwrap_or_default();
    journal.split(|&byte| byte == b'\n').count() - 1
}

/// Waits until the journal has so many lines; false if the program ends before.
fn wait_for(wanted: usize, folder: &Path, child: &mut Child) -> bool {
    let begun = Instant::now();
    while lines(folder) < wanted {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "the program failed by itself: {status}");
            return false;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "line {wanted} never came");
        sleep(Duration::from_micros(100));
    }
    true
}

/// Kills a run whenever its journal has become longer, and a little later each time, until it ends in
/// spite of that. Adds how long the journal was at each death in the middle of the run.
fn storm(folder: &Path, whole: usize, deaths: &mut Vec<usize>) {
    let mut wanted = 1;
    loop {
        let mut child = start(folder);
        if wait_for(wanted, folder, &mut child) {
            // A round takes some 10 ms.
            sleep(Duration::from_micros(deaths.len() as u64 * 1700 % 9000));
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        if status.success() {
            return;
        }
        assert_ne!(status.code(), Some(101), "the program panicked");
        let found = lines(folder);
        if found < whole {
            deaths.push(found);
        }
        wanted = found + 1;
    }
}

#[test]
fn survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let calm = folder.path().join("calm");
    assert!(start(&calm).wait().unwrap().success());
    let (whole, expected) = (lines(&calm), contents(&calm.join("out")));
    // What it is made from, and of five rounds the choice, the model and its measure.
    assert_eq!(whole, 1 + 5 * 3);
    let mut deaths = Vec::new();
    for number in 0..STORMS {
        let stormy = folder.path().join(format!("stormy-{number}"));
        storm(&stormy, whole, &mut deaths);
        let found = contents(&stormy.join("out"));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
        assert!(found == expected, "killed after {deaths:?} lines");
        assert!(fs::read_to_string(stormy.join("out/times.jsonl")).is_ok());
        if deaths.len() >= KILLS {
            break;
        }
    }
    assert!(deaths.len() >= KILLS, "killed in the middle only after {deaths:?} lines");
    let different: BTreeSet<&usize> = deaths.iter().collect();
    assert!(different.len() >= 3, "always killed after the same lines: {deaths:?}");
}
