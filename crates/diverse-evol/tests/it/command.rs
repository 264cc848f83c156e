//! External trainers.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tamis_diverse_evol::{EvolError, Places, TrainCommand};

fn run(folder: &Path, command: &str) -> Result<(), EvolError> {
    let [data, out, model, work] =
        ["the data.jsonl", "an out", "model", "work"].map(|name| folder.join(name));
    fs::write(&data, "{}\n").unwrap();
    let places = Places { data: &data, out: &out, model: &model, work: &work };
    command.parse::<TrainCommand>()?.run(&places, &folder.join("train.log"))
}

#[test]
fn words_and_places() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // Spaces in the paths do not split them.
    run(at, "cp {data} {out}").unwrap();
    assert_eq!(fs::read_to_string(at.join("an out")).unwrap(), "{}\n");
    run(at, r#"sh -c 'printf "%s|" "$@" > "$0"' {out} a\ b "c d" 'e"f' "g\"h" x={model}/{work}: {data} {}"#)
        .unwrap();
    let written = fs::read_to_string(at.join("an out")).unwrap();
    let place = |name: &str| at.join(name).display().to_string();
    let expected = format!(
        "a b|c d|e\"f|g\"h|x={}/{}:|{}|{{}}|",
        place("model"),
        place("work"),
        place("the data.jsonl")
    );
    assert_eq!(written, expected);
}

#[test]
fn commands_that_cannot_be() {
    for (command, part) in [
        ("", "names no program"),
        ("train {data}", "does not say where {out} goes"),
        ("train {out}", "does not say where {data} goes"),
        ("train '{data} {out}", "quote that is not closed"),
        ("train {data} {out} \\", "ends in a backslash"),
    ] {
        let error = command.parse::<TrainCommand>().unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(command), "{error}");
    }
}

#[test]
fn a_command_that_fails_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let said = |command: &str| run(at, command).unwrap_err().to_string();
    let error = said("sh -c 'echo loss is nan; echo giving up >&2; exit 3' {data} {out}");
    for part in ["exit status: 3", "train.log", "loss is nan\ngiving up"] {
        assert!(error.contains(part), "{error}");
    }
    let error = said("no-such-trainer {data} {out}");
    assert!(error.contains("`no-such-trainer ") && error.contains("cannot be started"), "{error}");
    let error = said("sh -c 'kill -9 $$' {data} {out}");
    assert!(error.contains("signal: 9"), "{error}");
    // Only the newest attempt is in the log.
    run(at, "sh -c 'echo fine' {data} {out}").unwrap();
    assert_eq!(fs::read_to_string(at.join("train.log")).unwrap(), "fine\n");
}

#[test]
fn a_command_that_outlives_its_run_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // The shell ends, but what it has started keeps the log.
    run(at, "sh -c 'sleep 1 &' {data} {out}").unwrap();
    let error = run(at, "true {data} {out}").unwrap_err().to_string();
    assert!(error.contains("train.log is still being written"), "{error}");
    // It may be writing here until then.
    fs::create_dir(at.join("an out")).unwrap();
    run(at, "true {data} {out}").unwrap_err();
    assert!(at.join("an out").is_dir());
    let begun = Instant::now();
    while run(at, "true {data} {out}").is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(!at.join("an out").exists());
}

#[test]
fn a_command_may_go_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let [data, out, model, work] = ["a/data", "a/out", "a/model", "a/work"].map(Path::new);
    let places = Places { data, out, model, work };
    let log = folder.path().join("train.log");
    let command: TrainCommand =
        "sh -c 'cd / && echo \"$@\"' sh {data} {out} {model} {work}".parse().unwrap();
    command.run(&places, &log).unwrap();
    let here = std::env::current_dir().unwrap();
    let expected = [data, out, model, work].map(|path| here.join(path).display().to_string());
    assert_eq!(fs::read_to_string(&log).unwrap().trim(), expected.join(" "));
}
