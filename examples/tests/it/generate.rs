//! `generate`: questions in, answers out.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::pools;
use crate::program::{model, refuse, succeed};

/// Runs `generate` on a file in `folder`; returns the lines of its output.
fn answers(folder: &Path, input: &str, more: &[&str]) -> Vec<Value> {
    let at = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let (model, input, output) = (model().to_str().unwrap().to_owned(), at(input), at("out.jsonl"));
    let mut arguments = vec!["--model", &model, "--input", &input, "--output", &output];
    arguments.extend(["--max-new-tokens", "6", "--threads", "1"]);
    arguments.extend(more);
    let printed = succeed("generate", &arguments);
    let text = fs::read_to_string(&output).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(printed.starts_with(&format!("{} answers", lines.len())), "{printed}");
    lines
}

fn outputs(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["output"].as_str().unwrap()).collect()
}

#[test]
fn one_answer_a_row_whatever_the_answer_there() {
    let folder = tempfile::tempdir().unwrap();
    let rows = pools::pairs();
    pools::write(folder.path(), "with.jsonl", &rows);
    let without: Vec<String> = rows
        .iter()
        .map(|row| {
            let mut row: Value = serde_json::from_str(row).unwrap();
            row.as_object_mut().unwrap().remove("tgt");
            row.to_string()
        })
        .collect();
    pools::write(folder.path(), "without.jsonl", &without);
    let text = folder.path().join("answers.txt");
    let lines = answers(folder.path(), "with.jsonl", &["--text", text.to_str().unwrap()]);
    assert_eq!(lines.len(), pools::ROWS);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(
            (line["id"].as_str(), line["index"].as_u64()),
            (Some(&*format!("p{n}")), Some(n as u64))
        );
        let tokens = line["tokens"].as_u64().unwrap();
        assert!(tokens <= 6 && line["log_prob"].as_f64().unwrap() < 0.0);
        assert_eq!(line["finish"] == "length", tokens == 6);
    }
    let bare = fs::read_to_string(&text).unwrap();
    assert_eq!(bare.lines().count(), pools::ROWS);
    assert_eq!(answers(folder.path(), "without.jsonl", &[]), lines);
    // Small batches and a part of the rows change nothing.
    let few = answers(folder.path(), "with.jsonl", &["--limit", "5", "--token-budget", "100"]);
    assert_eq!(outputs(&few), outputs(&lines)[..5]);
}

#[test]
fn strategies_and_templates() {
    let folder = tempfile::tempdir().unwrap();
    pools::write(folder.path(), "in.jsonl", &pools::pairs()[..6]);
    let run = |more: &[&str]| answers(folder.path(), "in.jsonl", more);
    let greedy = run(&[]);
    let beams = run(&["--beams", "4", "--length-penalty", "0"]);
    let sum = |lines: &[Value]| lines.iter().map(|l| l["log_prob"].as_f64().unwrap()).sum::<f64>();
    // Without length penalty a wider search finds what is at least as probable, here on the whole.
    assert!(sum(&beams) > sum(&greedy), "{} {}", sum(&beams), sum(&greedy));
    let one = run(&["--temperature", "1.5", "--seed", "1"]);
    assert_eq!(one, run(&["--temperature", "1.5", "--seed", "1"]));
    assert_ne!(one, run(&["--temperature", "1.5", "--seed", "2"]));
    assert_eq!(outputs(&run(&["--temperature", "2", "--top-k", "1"])), outputs(&greedy));
    for template in ["chat", "none"] {
        assert_eq!(run(&["--template", template]).len(), 6, "{template}");
    }
    // A token that greedy answers contain ends them.
    let stopped = run(&["--stop", "e", "--stop", "</s>"]);
    assert!(outputs(&stopped).iter().all(|text| !text.contains('e')));
}

#[test]
fn bad_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let input = pools::write(folder.path(), "in.jsonl", &pools::pairs()[..2]);
    let input = input.to_str().unwrap();
    let output = folder.path().join("out.jsonl");
    let model = model();
    let base = [
        "--model",
        model.to_str().unwrap(),
        "--input",
        input,
        "--output",
        output.to_str().unwrap(),
    ];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    refuse("generate", &with(&["--stop", "nosuchtoken"]), &["--stop", "nosuchtoken"]);
    refuse("generate", &with(&["--temperature", "0"]), &["temperature"]);
    refuse("generate", &with(&["--beams", "2", "--temperature", "1"]), &["--beams"]);
    refuse("generate", &with(&["--top-p", "0.5"]), &["--temperature"]);
    refuse("generate", &with(&["--max-new-tokens", "0"]), &["max_new_tokens"]);
    refuse("generate", &with(&["--adapter", "/nowhere"]), &["/nowhere"]);
    // The model of the tests reads 128 tokens, and has one a byte.
    refuse("generate", &with(&["--template", "alpaca"]), &["row 0 (id p0)", "128"]);
    let same = [&base[..4], &["--output", input]].concat();
    refuse("generate", &same, &["overwritten"]);
    let roundabout = folder.path().join(".").join("in.jsonl");
    let same = [&base[..4], &["--output", roundabout.to_str().unwrap()]].concat();
    refuse("generate", &same, &["overwritten"]);
    let nowhere = folder.path().join("nowhere/out.jsonl");
    let same = [&base[..4], &["--output", nowhere.to_str().unwrap()]].concat();
    refuse("generate", &same, &["no folder", "nowhere"]);
    let out = output.to_str().unwrap();
    refuse("generate", &[&base[..], &["--text", out]].concat(), &["overwritten"]);
    let huge = usize::MAX.to_string();
    succeed("generate", &[&base[..], &["--max-new-tokens", &huge, "--limit", "1"]].concat());
    fs::remove_file(&output).unwrap();
    let bad = pools::write(folder.path(), "bad.jsonl", &["{\"src\": \"a\"}", "{\"src\": 5}"]);
    let bad =
        ["--model", model.to_str().unwrap(), "--input", bad.to_str().unwrap(), "--output", "x"];
    refuse("generate", &bad, &["bad.jsonl", "line 2", "src"]);
    assert!(!output.exists());
}
