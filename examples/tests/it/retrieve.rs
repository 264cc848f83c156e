//! `retrieve` from outside: what it chooses is what a direct computation chooses, embeddings are not
//! computed twice, and what it refuses.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamis::dataset::{Content, EncodeOptions, Encoder, Outcome, Sample, Template, TextTokenizer};
use tamis::model::{LoadOptions, NoTap, load};

use crate::pools;
use crate::program::{Finished, model, refuse, succeed};

/// Id, question and answer.
type Row = (String, String, String);

/// Questions and answers; every eighth answer is empty.
fn rows() -> Vec<Row> {
    (0..40)
        .map(|n| {
            let (question, answer) = pools::pair(n);
            (format!("r{n}"), question, if n % 8 == 5 { String::new() } else { answer })
        })
        .collect()
}

/// Examples of two tasks.
fn tasks() -> [(&'static str, Vec<Row>); 2] {
    let row = |id: &str, question: &str, answer: &str| (id.into(), question.into(), answer.into());
    [
        ("ships", vec![row("a", "le ship", "the ship"), row("b", "la ship sees", "a ship")]),
        ("rest", vec![row("c", "quoi ?", "what?")]),
    ]
}

fn lines(rows: &[Row]) -> Vec<String> {
    let line = |(id, question, answer): &Row| {
        json!({ "id": id, "instruction": question, "output": answer }).to_string()
    };
    rows.iter().map(line).collect()
}

/// Writes the pool and the targets into a folder.
fn write(folder: &Path) -> [PathBuf; 3] {
    let [ships, rest] = tasks();
    [
        pools::write(folder, "pool.jsonl", &lines(&rows())),
        pools::write(folder, "ships.jsonl", &lines(&ships.1)),
        pools::write(folder, "other.jsonl", &lines(&rest.1)),
    ]
}

/// Runs the program in a folder that [`write`] filled.
fn run(folder: &Path, out: &str, flags: &[&str]) -> Finished {
    let arguments = arguments(folder, out, flags);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Finished { out: folder.join(out), printed: succeed("retrieve", &arguments) }
}

fn arguments(folder: &Path, out: &str, flags: &[&str]) -> Vec<String> {
    let at = |name: &str| folder.join(name).display().to_string();
    let mut arguments = vec![
        format!("--pool={}", at("pool.jsonl")),
        format!("--target={}", at("ships.jsonl")),
        format!("--target=rest={}", at("other.jsonl")),
        format!("--out={}", at(out)),
        "--threads=1".to_owned(),
    ];
    arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
    arguments
}

fn rds(folder: &Path, out: &str, flags: &[&str]) -> Finished {
    let model = format!("--model={}", model().display());
    run(folder, out, &[&[model.as_str(), "--template=none", "--max-length=120"], flags].concat())
}

/// The vectors of rows by a loop: one text at a time, one position after the other.
fn vectors(rows: &[(String, String, String)]) -> Vec<Option<Vec<f64>>> {
    let options = LoadOptions { device: "cpu".parse().unwrap(), ..LoadOptions::default() };
    let (model, folder) = (load(model(), &options).unwrap(), model());
    let tokenizer = TextTokenizer::from_dir(folder).unwrap();
    let options = EncodeOptions { max_length: 120, ..EncodeOptions::default() };
    let encoder = Encoder::new(tokenizer, Template::None, options).unwrap();
    let vector = |(index, (id, question, answer)): (usize, &(String, String, String))| {
        let content = Content::Instruction {
            instruction: question.clone(),
            input: String::new(),
            output: answer.clone(),
        };
        let sample = Sample { id: id.as_str().into(), index, content };
        let Outcome::Scored(encoded) = encoder.encode(&sample) else { return None };
        let ids: Vec<i64> = encoded.ids.iter().map(|&id| i64::from(id)).collect();
        let ids = tch::Tensor::from_slice(&ids).unsqueeze(0);
        let hidden = tch::no_grad(|| model.hidden(&ids, &mut NoTap).unwrap()).squeeze_dim(0);
        let mut sum = vec![0.0; hidden.size()[1] as usize];
        let mut total = 0.0;
        for place in 0..hidden.size()[0] {
            let at = Vec::<f64>::try_from(hidden.get(place).to_kind(tch::Kind::Double)).unwrap();
            let weight = (place + 1) as f64;
            sum.iter_mut().zip(at).for_each(|(sum, x)| *sum += weight * x);
            total += weight;
        }
        Some(sum.into_iter().map(|x| x / total).collect())
    };
    rows.iter().enumerate().map(vector).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn hidden_states_choose_what_a_direct_computation_chooses() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let finished = rds(folder.path(), "out", &["--budget=9"]);

    let pool = vectors(&rows());
    let targets: Vec<Vec<Vec<f64>>> = tasks()
        .iter()
        .map(|(_, rows)| vectors(rows).into_iter().map(Option::unwrap).collect())
        .collect();
    // Tasks in turn, their examples in turn, each takes the best that is left.
    let mut expected = BTreeSet::new();
    for turn in 0..9 {
        let task = &targets[turn % 2];
        let example = &task[turn / 2 % task.len()];
        let left = pool.iter().enumerate().filter(|(row, _)| !expected.contains(row));
        let best =
            left.filter_map(|(row, vector)| Some((row, cosine(vector.as_ref()?, example)))).fold(
                (usize::MAX, f64::MIN),
                |best, other| if other.1 > best.1 { other } else { best },
            );
        expected.insert(best.0);
    }
    let scores = finished.scores();
    assert_eq!(scores.len(), 40);
    for (line, vector) in scores.iter().zip(&pool) {
        let row = line["index"].as_u64().unwrap() as usize;
        assert_eq!(line["selected"], expected.contains(&row), "{line}");
        assert_eq!(line["id"], format!("r{row}"));
        let Some(vector) = vector else {
            assert!(line["score"].is_null() && line["best_task"].is_null());
            assert_eq!((&line["tasks"], &line["reason"]), (&json!({}), &json!("empty target")));
            continue;
        };
        for (task, name) in targets.iter().zip(["ships", "rest"]) {
            let mean = task.iter().map(|t| cosine(vector, t)).sum::<f64>() / task.len() as f64;
            assert!((line["tasks"][name].as_f64().unwrap() - mean).abs() < 1e-5, "{line}");
        }
    }
    // Five turns of the first task, four of the second.
    let turns = |task: &str| {
        let reasons = scores.iter().map(|line| line["reason"].as_str().unwrap());
        reasons.filter(|r| r.starts_with("turn ") && r.contains(&format!("of task {task}"))).count()
    };
    assert_eq!((turns("ships"), turns("rest")), (5, 4));
    let chosen: Vec<String> = expected.iter().map(|&row| lines(&rows())[row].clone()).collect();
    assert_eq!(finished.selected(), chosen);
    assert_eq!([finished.count("scored"), finished.count("targets")], [35, 3]);
    assert!(finished.printed.contains("ships: 2 targets"), "{}", finished.printed);
    let page = finished.text("report.html");
    assert!(page.contains("What each task got") && page.contains("a turn of task ships"));

    // Another rule and budget embed nothing again.
    let again = rds(folder.path(), "out", &["--budget=3", "--rule=max"]);
    assert!(again.resumed("embeddings"));
    assert_eq!(again.count("selected"), 3);
    let best = |line: &Value| line["score"].as_f64();
    let mut by_score = again.scores();
    by_score.retain(|line| !line["score"].is_null());
    by_score.sort_by(|a, b| best(b).unwrap().total_cmp(&best(a).unwrap()));
    assert!(by_score[..3].iter().all(|line| line["selected"] == true));
}

#[test]
fn words_and_chance_need_no_model() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let words = run(folder.path(), "words", &["--by=bm25", "--budget=6", "--rule=max"]);
    // The examples are about ships and little else.
    assert!(words.selected().iter().all(|line| line.contains("ship")), "{:?}", words.selected());
    assert_eq!(words.count("selected"), 6);

    let chance = |out, seed: &str| run(folder.path(), out, &["--by=random", "--budget=6", seed]);
    let (first, same, other) =
        (chance("a", "--seed=1"), chance("b", "--seed=1"), chance("c", "--seed=2"));
    assert_eq!(first.result(), same.result());
    assert_ne!(first.selected(), other.selected());
    assert_eq!(first.selected().len(), 6);
}

#[test]
fn what_cannot_be_done_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let refused = |flags: &[&str], parts: &[&str]| {
        let arguments = arguments(folder.path(), "out", flags);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refuse("retrieve", &arguments, parts);
    };
    refused(&["--budget=5"], &["--model"]);
    refused(&["--by=bm25", "--budget=41"], &["--budget is 41", "between 1 and 40"]);
    refused(&["--by=bm25", "--budget=5", "--rule=best"], &["`best`", "round-robin"]);
    refused(&["--by=bm25", "--budget=5", "--b=2"], &["`b` is 2"]);
    let again = folder.path().join("ships.jsonl").display().to_string();
    refused(
        &["--by=bm25", "--budget=5", &format!("--target={again}")],
        &["two targets are called `ships`", "NAME=FILE"],
    );
    let wordless = folder.path().join("none.jsonl");
    fs::write(&wordless, r#"{"id":"w","instruction":"?","output":"!"}"#).unwrap();
    refused(
        &["--by=bm25", "--budget=5", &format!("--target={}", wordless.display())],
        &["target `w` of task `none` has no words"],
    );
}
