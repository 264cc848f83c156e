//! `nuggets` from outside: what it writes, chooses again, goes on with after `kill -9`, and refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::pools;
use crate::program::{Finished, binary, contents, model, refuse, succeed};

/// Short instructions; every eighth answer is empty, and one is too long before any anchor.
fn rows() -> Vec<String> {
    (0..40)
        .map(|n| {
            let (question, answer) = pools::pair(n);
            let answer = match n {
                17 => answer.repeat(6),
                n if n % 8 == 5 => String::new(),
                _ => answer,
            };
            let row = json!({ "id": format!("i{n}"), "instruction": question, "output": answer });
            if n % 3 == 0 { row.to_string().replace("\",\"", "\" , \"") } else { row.to_string() }
        })
        .collect()
}

struct Nuggets {
    flags: Vec<String>,
    out: PathBuf,
}

impl Nuggets {
    /// Settings that fit the tiny model.
    fn new(folder: &Path, out: &str) -> Self {
        let (pool, out) = (folder.join("pool.jsonl"), folder.join(out));
        if !pool.exists() {
            pools::write(folder, "pool.jsonl", &rows());
        }
        let flags = [
            format!("--model={}", model().display()),
            format!("--pool={}", pool.display()),
            format!("--out={}", out.display()),
            "--template=none".to_owned(),
            "--shard-rows=4".to_owned(),
            "--threads=1".to_owned(),
        ];
        Self { flags: flags.into(), out }
    }

    fn with(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    fn arguments(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).collect()
    }

    fn succeed(&self) -> Finished {
        let printed = succeed("nuggets", &self.arguments());
        Finished { out: self.out.clone(), printed }
    }

    fn refuse(&self, parts: &[&str]) {
        refuse("nuggets", &self.arguments(), parts);
    }
}

/// What the stored rises say of a row: share of positive ones, its own anchor left out.
fn share(stored: &Value) -> Option<f64> {
    let rises = stored["rises"]["Ok"].as_array()?;
    let own = |n: &usize| !stored["own"].as_array().is_some_and(|own| own.contains(&json!(n)));
    let counted: Vec<usize> = (0..rises.len()).filter(own).collect();
    let up = counted.iter().filter(|&&n| rises[n].as_f64().unwrap() > 0.0).count();
    Some(up as f64 / counted.len() as f64)
}

#[test]
fn scores_choice_and_choosing_again() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--anchor-count=6", "--anchor-tokens=60", "--budget=7"];
    let run = Nuggets::new(folder.path(), "out").with(&flags).succeed();
    let (lines, rows) = (run.scores(), rows());
    let mut stored: Vec<Value> = Vec::new();
    for number in 0..10 {
        let shard = run.text(&format!("rises/rises-{number:05}.jsonl"));
        stored.extend(shard.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    assert_eq!((lines.len(), stored.len()), (40, 40));
    let mut ranked: Vec<(f64, usize)> = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        assert_eq!((&line["id"], &line["index"]), (&json!(format!("i{n}")), &json!(n)));
        let score = share(&stored[n]);
        assert_eq!(line["golden_score"].as_f64(), score, "{line}");
        match score {
            Some(score) => ranked.push((score, n)),
            None if n == 17 => {
                let reason = line["reason"].as_str().unwrap();
                assert!(reason.contains("tokens with `i"), "{reason}");
            }
            None => assert_eq!(line["reason"], "no golden score: the target is empty"),
        }
    }
    assert_eq!(ranked.len(), 34);
    assert!(ranked.iter().any(|(score, _)| *score > 0.0));
    // The pair of an anchor with itself is left out.
    let own = lines.iter().filter(|line| line["anchors"] == 5).count();
    assert_eq!((own, run.text("rises/anchors.jsonl").lines().count()), (6, 6));
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut chosen: Vec<usize> = ranked[..7].iter().map(|r| r.1).collect();
    chosen.sort_unstable();
    // As they came, spaces and all.
    let expected: Vec<String> = chosen.iter().map(|&n| rows[n].clone()).collect();
    assert_eq!(run.selected(), expected);
    assert_eq!((run.count("scored"), run.count("selected"), run.count("anchors")), (34, 7, 6));
    let page = run.text("report.html");
    for text in ["Nuggets selection", "Highest golden score", "<svg", "share of rows that help"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(run.printed.contains("34 scored by 6 anchors"), "{}", run.printed);

    // Another choice scores nothing again.
    let first = run.result();
    let rises = contents(&run.out.join("rises"));
    let bound = ranked[3].0;
    let again = ["--anchor-count=6", "--anchor-tokens=60", &format!("--threshold={bound}")];
    let again = Nuggets::new(folder.path(), "out").with(&again).succeed();
    assert!(again.resumed("scores") && again.resumed("anchors"));
    assert_eq!(contents(&again.out.join("rises")), rises);
    let reach = ranked.iter().filter(|(score, _)| *score >= bound).count();
    assert_eq!(again.count("selected"), reach as u64);

    // The same anchors from a file give the same numbers.
    let anchors: Vec<Value> = run
        .text("rises/anchors.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let given: Vec<&String> =
        anchors.iter().map(|anchor| &rows[anchor["index"].as_u64().unwrap() as usize]).collect();
    let file = pools::write(folder.path(), "anchors.jsonl", &given);
    let flags = [format!("--anchors={}", file.display()), "--budget=7".to_owned()];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let given = Nuggets::new(folder.path(), "given").with(&flags).succeed();
    assert_eq!(given.result(), first);
}

#[test]
fn killed_and_resumed_the_bytes_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let nuggets = |out: &str| {
        Nuggets::new(folder.path(), out).with(&[
            "--anchor-count=8",
            "--anchor-tokens=60",
            "--threshold=0.5",
        ])
    };
    let calm = nuggets("calm").succeed();
    let rises = folder.path().join("stormy/rises");
    let mut killed = 0;
    for shard in [0, 3, 7] {
        let mut command = Command::new(binary("nuggets"));
        command.args(&nuggets("stormy").flags).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (file, begun) = (rises.join(format!("rises-{shard:05}.jsonl")), Instant::now());
        while !file.exists() && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} never came", file.display());
            std::thread::sleep(Duration::from_micros(100));
        }
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed >= 2, "{killed}");
    let stormy = nuggets("stormy").succeed();
    assert_eq!(stormy.result(), calm.result());
    assert_eq!(contents(&rises), contents(&calm.out.join("rises")));
}

#[test]
fn what_cannot_be_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |flags: &[&str], parts: &[&str]| {
        Nuggets::new(folder.path(), "out").with(flags).refuse(parts);
    };
    refused(&[], &["--budget"]);
    refused(&["--budget=3", "--anchor-count=0"], &["anchor-count", "at least 1"]);
    refused(&["--budget=3", "--anchor-tokens=128"], &["--anchor-tokens is 128"]);
    refused(&["--budget=3", "--max-length=500"], &["--max-length is 500", "at most 128"]);
    refused(&["--threshold=1.5"], &["`threshold` is 1.5"]);
    refused(&["--budget=3"], &["100 anchors", "only"]);
    let long = json!({ "id": "long", "instruction": "a ".repeat(200), "output": "b" });
    let long = pools::write(folder.path(), "long.jsonl", &[long.to_string()]);
    let long = format!("--anchors={}", long.display());
    refused(&[&long, "--budget=3"], &["anchor `long` (row 0)", "at most 128"]);
    refused(&[&long, "--budget=3", "--anchor-count=3"], &["cannot be used with"]);
    assert!(!folder.path().join("out/rises").exists());
    let pool = folder.path().join("out/selected.jsonl");
    fs::create_dir_all(pool.parent().unwrap()).unwrap();
    fs::copy(folder.path().join("pool.jsonl"), &pool).unwrap();
    let anchors = format!("--anchors={}", pool.display());
    refused(&[&anchors, "--budget=3"], &["would be overwritten"]);
}
