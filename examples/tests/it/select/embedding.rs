//! Embeddings that are computed first.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamis::embeddings::Embeddings;

use super::{Select, picked};
use crate::pools;
use crate::program::{binary, contents, model};

/// Every eighth answer is empty.
fn rows() -> Vec<String> {
    let row = |n: usize| {
        let (question, answer) = pools::pair(n);
        let answer = if n % 8 == 5 { String::new() } else { answer };
        json!({ "id": format!("i{n}"), "instruction": question, "output": answer }).to_string()
    };
    (0..40).map(row).collect()
}

/// Settings that fit the tiny model.
fn select(folder: &Path, out: &str) -> Select {
    let data = folder.join("pool.jsonl");
    if !data.exists() {
        pools::write(folder, "pool.jsonl", &rows());
    }
    Select::bare(folder, out).with(&[
        &format!("--model={}", model().display()),
        &format!("--data={}", data.display()),
        "--template=none",
        "--max-length=120",
        "--shard-rows=3",
    ])
}

#[test]
fn computed_once_and_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = select(folder.path(), "out").succeed();
    assert!(!first.resumed("embeddings"));
    let lines = first.scores();
    assert_eq!(lines.len(), 40);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!((&line["id"], &line["index"]), (&json!(format!("i{n}")), &json!(n)));
        if n % 8 == 5 {
            assert_eq!(line["reason"], "no embedding: the target is empty");
            assert_eq!([&line["order"], &line["nearest"]], [&Value::Null; 2]);
        }
    }
    assert_eq!((first.count("embedded"), first.count("rejected")), (35, 5));
    assert_eq!(first.selected().len(), 10);
    assert!(first.selected().iter().all(|line| rows().contains(line)));
    let dir = first.out.join("embeddings");
    let stored = contents(&dir);
    assert_eq!(Embeddings::open(&dir).unwrap().columns(), 32);

    // Another way of choosing embeds nothing again.
    let again = select(folder.path(), "out").with(&["--strategy=random"]).succeed();
    assert!(again.resumed("embeddings"));
    assert_eq!(contents(&dir), stored);
    assert_eq!(select(folder.path(), "out").succeed().result(), first.result());

    // The folder is as good as a file.
    let flag = format!("--embeddings={}", dir.display());
    let data = format!("--data={}", folder.path().join("pool.jsonl").display());
    let from = Select::bare(folder.path(), "from").with(&[&data, &flag]).succeed();
    assert_eq!(from.result(), first.result());
    let alone = Select::bare(folder.path(), "alone").with(&[&flag]).succeed();
    assert_eq!(picked(&alone), picked(&first));

    // Of another model, other settings or other data it is refused.
    let refused = |flag: &str, field: &str| {
        select(folder.path(), "out").with(&[flag]).refuse(&[&format!("`{field}`")]);
    };
    refused("--pool=response", "settings.pool");
    refused("--template=alpaca", "encoder.template");
    refused("--token-budget=64", "settings.token_budget");
    pools::write(folder.path(), "pool.jsonl", &rows()[..30]);
    refused("--seed=0", "source.rows");
}

#[test]
fn all_tokens_or_those_of_the_response() {
    let folder = tempfile::tempdir().unwrap();
    let rows = |pool: &str| {
        let run = select(folder.path(), pool).with(&[&format!("--pool={pool}")]).succeed();
        let embeddings = Embeddings::open(run.out.join("embeddings")).unwrap();
        embeddings.contiguous().into_owned()
    };
    let (all, response) = (rows("all"), rows("response"));
    assert_eq!(all.len(), response.len());
    assert_ne!(all, response);
}

#[test]
fn what_the_model_cannot_read() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |flag: &str, parts: &[&str]| {
        select(folder.path(), "out").with(&[flag]).refuse(parts);
    };
    refused("--max-length=4096", &["`max_length` is 4096", "at most 128"]);
    refused("--template=letter", &["letter", "vicuna"]);
    refused("--model=/nowhere", &["/nowhere"]);
    // Known without an embedding.
    refused("--budget=41", &["--budget is 41", "between 1 and 40"]);
    refused("--initial=40", &["--initial names row 40", "from 0 to 39"]);
    assert!(!folder.path().join("out/embeddings").exists(), "embedded for nothing");
    refused("--initial=5", &["--initial names row 5", "no embedding: the target is empty"]);
    refused("--budget=36", &["--budget is 36", "between 1 and 35", "5 without an embedding"]);
    let empty: Vec<String> = (0..3)
        .map(|n| json!({ "instruction": format!("q{n}"), "output": "" }).to_string())
        .collect();
    pools::write(folder.path(), "pool.jsonl", &empty);
    select(folder.path(), "none").with(&["--budget=2"]).refuse(&["0 rows"]);
}

#[test]
fn killed_and_resumed_the_bytes_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let calm = select(folder.path(), "calm").succeed();
    let stored = folder.path().join("stormy/embeddings");
    let mut killed = 0;
    for shard in [0, 2, 5, 8, 11] {
        let mut command = Command::new(binary("select"));
        command.args(&select(folder.path(), "stormy").flags).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let file = stored.join(format!("rows-{shard:05}.safetensors"));
        let begun = Instant::now();
        while !file.exists() && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} never came", file.display());
            std::thread::sleep(Duration::from_micros(100));
        }
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed >= 3, "{killed}");
    let stormy = select(folder.path(), "stormy").succeed();
    assert_eq!(stormy.result(), calm.result());
    assert_eq!(contents(&stored), contents(&calm.out.join("embeddings")));
}
