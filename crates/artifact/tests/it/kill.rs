//! `kill -9` at twenty random moments, resume, and compare with an undisturbed run.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use tamis_artifact::StoreWriter;

use crate::{contents, manifest, shard_bytes, shard_name};

/// The child process finds its folder here.
const FOLDER: &str = "TAMIS_ARTIFACT_KILL_TEST";
const SHARDS: usize = 40;
const KILLS: usize = 20;

/// A long stage as every crate writes it: not a test, but the program the test below kills.
#[test]
#[ignore = "the program that is killed; `survives_kill_9` starts it"]
fn stage() {
    let Some(dir) = std::env::var_os(FOLDER) else {
        return;
    };
    let mut store = StoreWriter::create_or_resume(dir, &manifest()).unwrap();
    for number in 0..SHARDS {
        if !store.has(&shard_name(number)) {
            store.write(&shard_name(number), &shard_bytes(number)).unwrap();
        }
    }
    store.finish().unwrap();
}

fn start(dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::stage", "--ignored"])
        .env(FOLDER, dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Lines in the journal of a running stage.
fn committed(dir: &Path) -> usize {
    fs::read(dir.join("journal.jsonl"))
        .map_or(0, |journal| String::from_utf8_lossy(&journal).matches('\n').count())
}

#[test]
fn survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let undisturbed = folder.path().join("undisturbed");
    let began = Instant::now();
    assert!(start(&undisturbed).wait().unwrap().success());
    let per_shard = began.elapsed() / SHARDS as u32;
    let expected = contents(&undisturbed);
    assert_eq!(expected.len(), SHARDS + 3);

    // Truly random moments: every run of the test kills at others.
    let mut state =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let mut random = |below: u32| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as u32 % below
    };
    let (mut interrupted, mut torn) = (0, 0);
    for kill in 0..KILLS {
        let dir = folder.path().join(format!("killed-{kill}"));
        // In two of three stores the first run gets some way; in the others the kill may even hit
        // the birth of the store.
        let wait_for = if kill % 3 == 0 { 0 } else { random(SHARDS as u32 - 2) as usize };
        let mut child = start(&dir);
        while committed(&dir) < wait_for {
            assert!(child.try_wait().unwrap().is_none(), "the stage ended by itself");
            sleep(Duration::from_micros(200));
        }
        sleep(per_shard * random(3000) / 1000);
        child.kill().unwrap(); // SIGKILL
        child.wait().unwrap();

        let lines = committed(&dir);
        interrupted += usize::from(lines <= SHARDS);
        torn += usize::from(dir.is_dir() && contents(&dir).len() > lines + 3);
        if lines > 0 {
            StoreWriter::create_or_resume(&dir, &manifest()).unwrap().verify().unwrap();
        }
        // The lock of the killed process is gone, and what it finished is not redone.
        assert!(start(&dir).wait().unwrap().success(), "kill {kill} after {lines} shards");
        assert!(contents(&dir) == expected, "kill {kill} after {lines} shards");
    }
    println!("{interrupted} of {KILLS} runs were interrupted, {torn} of them within a shard");
    assert!(interrupted >= KILLS / 2, "only {interrupted} of {KILLS} were killed in time");
}
