//! The pipeline of your own from outside: what it leaves, and that it goes on after `kill -9`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pools;
use crate::program::{binary, contents, model, refuse};

fn flags(folder: &Path, out: &str) -> Vec<String> {
    let (pool, seeds) = (folder.join("pool.jsonl"), folder.join("seeds.jsonl"));
    if !pool.exists() {
        pools::write_pairs(folder);
    }
    vec![
        format!("--model={}", model().display()),
        format!("--pool={}", pool.display()),
        format!("--seeds={}", seeds.display()),
        format!("--out={}", folder.join(out).display()),
        "--budget=4".to_owned(),
        "--template=none".to_owned(),
        "--max-length=120".to_owned(),
    ]
}

/// What it prints, and what it says on the way.
fn run(folder: &Path, out: &str) -> (String, String) {
    let output = Command::new(binary("custom_pipeline")).args(flags(folder, out)).output().unwrap();
    let (printed, said) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{said}");
    (printed, said)
}

fn lines(path: PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_stage_sees_what_the_last_one_left() {
    let folder = tempfile::tempdir().unwrap();
    let (printed, said) = run(folder.path(), "out");
    let out = folder.path().join("out");
    assert!(printed.contains("4 rows chosen"), "{printed}");
    let words = lines(out.join("1-words/scores-00000.jsonl"));
    assert_eq!(words.len(), pools::ROWS);
    assert_eq!(words[0]["scores"][0]["value"], 4.0 + 1.0);
    let ifd = lines(out.join("2-ifd/scores-00000.jsonl"));
    let enough = words.iter().filter(|line| line["scores"][0]["value"].as_f64().unwrap() >= 3.0);
    assert_eq!(ifd.len(), enough.count());
    // Columns: ppl_cond, ppl_direct, ifd.
    let below = |line: &&Value| line["scores"][2]["value"].as_f64().is_some_and(|ifd| ifd < 1.0);
    let passed = ifd.iter().filter(below).count() / 2;
    assert!(said.contains(&format!("{passed} of {} rows pass", pools::ROWS)), "{said}");
    let pool = pools::pairs();
    let chosen = std::fs::read_to_string(out.join("selected.jsonl")).unwrap();
    assert_eq!(chosen.lines().count(), 4);
    assert!(chosen.lines().all(|line| pool.iter().any(|row| row == line)));

    // Another pool is another pipeline.
    let mut other = flags(folder.path(), "out");
    let fewer = pools::write(folder.path(), "fewer.jsonl", &pool[..40]);
    other[1] = format!("--pool={}", fewer.display());
    let other: Vec<&str> = other.iter().map(String::as_str).collect();
    refuse("custom_pipeline", &other, &["1-words", "`source"]);
}

#[test]
fn killed_after_each_stage_it_goes_on_and_the_bytes_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, _) = run(folder.path(), "calm");
    let stormy = folder.path().join("stormy");
    let mut killed = 0;
    for file in [
        "1-words/scores-00000.jsonl",
        "2-ifd/scores-00000.jsonl",
        "3-influence/basis/manifest.json",
    ] {
        let mut command = Command::new(binary("custom_pipeline"));
        command.args(flags(folder.path(), "stormy")).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (file, begun) = (stormy.join(file), Instant::now());
        while !file.exists() && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} never came", file.display());
            std::thread::sleep(Duration::from_micros(100));
        }
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed >= 2, "{killed}");
    let (again, _) = run(folder.path(), "stormy");
    assert_eq!(again.replace("stormy", "calm"), calm);
    assert_eq!(contents(&stormy), contents(&folder.path().join("calm")));
}
