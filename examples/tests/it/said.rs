//! What programs say, and to whom: readers of standard output who leave, and the number of threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::pools;
use crate::program::{binary, model};

/// Questions and answers, translations, and their files.
fn write(folder: &Path) -> [String; 2] {
    let row = |n: usize| {
        let (question, answer) = pools::pair(n);
        json!({ "id": format!("r{n}"), "instruction": question, "output": answer }).to_string()
    };
    let rows: Vec<String> = (0..24).map(row).collect();
    let asked = pools::write(folder, "asked.jsonl", &rows);
    let pairs = pools::write(folder, "pairs.jsonl", &pools::pairs()[..24]);
    [asked, pairs].map(|path| path.to_str().unwrap().to_owned())
}

/// A command line of `name` whose results go to `out`.
fn command(name: &str, flags: &[String]) -> Command {
    let mut command = Command::new(binary(name));
    command.args(flags).stdin(Stdio::null()).stderr(Stdio::piped());
    command.env_remove("RUST_BACKTRACE").env_remove("RAYON_NUM_THREADS");
    command
}

/// Programs with flags that make them quick, and a result that each must leave.
fn programs(folder: &Path) -> Vec<(&'static str, Vec<String>, PathBuf)> {
    let [asked, pairs] = write(folder);
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let model = format!("--model={}", model().display());
    let flags = |all: &[&str]| all.iter().map(|flag| (*flag).to_owned()).collect::<Vec<String>>();
    let pool = |path: &str| format!("--pool={path}");
    let out = |name: &str| format!("--out={}", at(name));
    let text = ["a cat\na dog\n", "the cat\na dog\n"];
    let [hypotheses, references] = [0, 1].map(|n| {
        let path = at(["ours", "reference"][n]);
        fs::write(&path, text[n]).unwrap();
        path
    });
    let asking = ["--template=none", "--max-length=120", "--threads=1"];
    let mut all = vec![
        (
            "gdig",
            [
                &flags(&[&model, &pool(&pairs), &out("gdig"), "--budget=4", "--adapted"])[..],
                &[
                    format!("--seeds={pairs}"),
                    "--projection=4x4".to_owned(),
                    "--threads=1".to_owned(),
                ],
            ]
            .concat(),
            "gdig/run.json",
        ),
        (
            "ifd",
            flags(&[&model, &pool(&asked), &out("ifd"), "--max-length=120", "--threads=1"]),
            "ifd/run.json",
        ),
        (
            "retrieve",
            flags(&[
                &pool(&asked),
                &format!("--target={asked}"),
                &out("retrieve"),
                "--by=bm25",
                "--budget=4",
                "--threads=1",
            ]),
            "retrieve/run.json",
        ),
        (
            "nuggets",
            [
                flags(&[&model, &pool(&asked), &out("nuggets"), "--template=none"]),
                flags(&["--anchor-count=3", "--anchor-tokens=60", "--budget=4", "--threads=1"]),
            ]
            .concat(),
            "nuggets/run.json",
        ),
        (
            "finetune",
            [
                flags(&[&model, &format!("--train={pairs}"), &out("finetune"), "--epochs=1"]),
                flags(&["--learning-rate=1e-3", "--batch-size=8", "--threads=1"]),
            ]
            .concat(),
            "finetune/run.json",
        ),
        (
            "generate",
            [
                flags(&[&model, &format!("--input={pairs}"), "--max-new-tokens=3"]),
                flags(&[&format!("--output={}", at("answers.jsonl")), "--threads=1"]),
            ]
            .concat(),
            "answers.jsonl",
        ),
        (
            "evaluate",
            flags(&[
                &format!("--hypotheses={hypotheses}"),
                &format!("--references={references}"),
                &format!("--sentences={}", at("sentences.jsonl")),
            ]),
            "sentences.jsonl",
        ),
    ];
    let select = [&model, &format!("--data={asked}"), &out("select"), "--budget=4"];
    all.push(("select", [flags(&select), flags(&asking)].concat(), "select/run.json"));
    all.into_iter().map(|(name, flags, result)| (name, flags, folder.join(result))).collect()
}

#[test]
fn a_reader_who_leaves_costs_no_result() {
    let folder = tempfile::tempdir().unwrap();
    for (name, flags, result) in programs(folder.path()) {
        let mut child = command(name, &flags).stdout(Stdio::piped()).spawn().unwrap();
        // What is printed after this has no reader.
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{name} {flags:?}: {}:\n{errors}", output.status);
        assert!(result.is_file(), "{name}: {} is missing", result.display());
    }
}

/// The most threads that a program had at once, and the number that its `run.json` tells.
#[cfg(target_os = "linux")]
fn threads(name: &str, flags: &[String], variable: Option<&str>, result: &Path) -> (usize, u64) {
    let mut command = command(name, flags);
    if let Some(count) = variable {
        command.env("RAYON_NUM_THREADS", count);
    }
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let tasks = format!("/proc/{}/task", child.id());
    let mut most = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        most = most.max(fs::read_dir(&tasks).map_or(0, Iterator::count));
        std::thread::yield_now();
    };
    assert!(status.success(), "{name} {flags:?}: {status}");
    let run: Value = serde_json::from_slice(&fs::read(result).unwrap()).unwrap();
    (most, run["environment"]["threads"].as_u64().unwrap())
}

#[cfg(target_os = "linux")]
#[test]
fn the_number_of_threads_holds_for_everything() {
    let folder = tempfile::tempdir().unwrap();
    let all = programs(folder.path());
    for program in ["gdig", "select"] {
        let (name, flags, result) = all.iter().find(|(name, ..)| *name == program).unwrap();
        // The flag is the last one.
        let others = &flags[..flags.len() - 1];
        let with = |count: usize, variable: Option<&str>| {
            let mut flags = others.to_vec();
            if variable.is_none() {
                flags.push(format!("--threads={count}"));
            }
            // Nothing may be there to go on with: a run that finds its work done tokenises little.
            fs::remove_dir_all(result.parent().unwrap()).ok();
            threads(name, &flags, variable, result)
        };
        let (one, said) = with(1, None);
        assert_eq!(said, 1);
        // The program's own thread, and the one of rayon's pool.
        assert!(one <= 2, "{name}: {one} threads where one was asked for");
        let (many, said) = with(7, None);
        assert_eq!(said, 7);
        assert!(many >= 8, "{name}: {many} threads where seven were asked for");
        let (_, said) = with(3, Some("3"));
        assert_eq!(said, 3);
    }
}
