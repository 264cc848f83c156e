//! `judge` from outside: verdicts, what is counted as a failure, and that nothing is asked twice.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::chat_server::ChatServer;
use crate::pools;
use crate::program::{refuse, succeed};

/// Likes answers with the word `good`, wherever they stand; says nothing useful of those with `odd`.
fn referee(user: &str) -> String {
    if user.contains("odd") {
        return "Both have their merits.".to_owned();
    }
    let (first, second) = user.split_once("Answer 2:").unwrap();
    let grade = |answer: &str| if answer.contains("good answer") { 8.5 } else { 4.0 };
    format!("{} {}\nBecause.", grade(first), grade(second))
}

fn files(folder: &Path) -> [String; 3] {
    let lines = |make: &dyn Fn(usize) -> Value| -> Vec<String> {
        (0..6).map(|n| make(n).to_string()).collect()
    };
    let questions = lines(
        &|n| json!({ "id": format!("q{n}"), "instruction": format!("Ask {n}"), "input": "it" }),
    );
    // Better for 0, 1, 2; alike for 3; worse for 4; without grades for 5.
    let model = lines(&|n| {
        let output = ["good answer", "good answer", "good answer", "fair", "fair", "odd"][n];
        json!({ "id": format!("q{n}"), "output": output, "tokens": 3 })
    });
    let reference = lines(&|n| {
        let output = ["fair", "fair", "fair", "fair", "a good answer at length", "fair"][n];
        json!({ "id": format!("q{n}"), "output": output })
    });
    [("questions", questions), ("model", model), ("reference", reference)].map(|(name, lines)| {
        pools::write(folder, &format!("{name}.jsonl"), &lines).to_str().unwrap().to_owned()
    })
}

#[test]
fn verdicts_of_both_orders() {
    let folder = tempfile::tempdir().unwrap();
    let [questions, model, reference] = files(folder.path());
    let out = folder.path().join("out").to_str().unwrap().to_owned();
    let server = ChatServer::start(referee);
    let flags = [
        "--questions",
        &questions,
        "--answers",
        &model,
        "--reference",
        &reference,
        "--out",
        &out,
        "--server",
        &server.url,
        "--server-model",
        "referee",
    ];
    let printed = succeed("judge", &flags);
    assert!(printed.contains("5 judged: 3 wins, 1 ties, 1 losses; 1 failed"), "{printed}");
    // Two equal answers are one question in either order.
    assert_eq!(server.asked(), 11);
    let read = |name: &str| fs::read_to_string(Path::new(&out).join(name)).unwrap();
    let tally: Value = serde_json::from_str(&read("tally.json")).unwrap();
    // (3 − 1) / 5 + 1, and 100 · (3 · 8.5 + 4 + 4) / (3 · 4 + 4 + 8.5)
    assert!((tally["winning_score"].as_f64().unwrap() - 1.4).abs() < 1e-12);
    assert!((tally["relative_score"].as_f64().unwrap() - 3350.0 / 24.5).abs() < 1e-9);
    // 2 · (C(4, 0) + C(4, 1)) / 2⁴
    assert!((tally["sign_test_p"].as_f64().unwrap() - 0.625).abs() < 1e-12);
    let verdicts: Vec<Value> = read("scores.jsonl")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["verdict"].clone())
        .collect();
    assert_eq!(verdicts, ["win", "win", "win", "tie", "lose", "failed"]);
    assert!(read("report.html").contains("Pairwise judgement"));

    // Again, as JSON: the same, and nobody is asked.
    let printed = succeed("judge", &[&flags[..], &["--json"]].concat());
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), tally);
    assert_eq!(server.asked(), 11);
}

#[test]
fn answers_that_do_not_fit_the_questions() {
    let folder = tempfile::tempdir().unwrap();
    let [questions, model, _] = files(folder.path());
    let out = folder.path().join("out").to_str().unwrap().to_owned();
    let refused = |answers: &str, parts: &[&str]| {
        let flags = [
            "--questions",
            &questions,
            "--answers",
            answers,
            "--reference",
            &model,
            "--out",
            &out,
            "--server",
            "http://127.0.0.1:9/v1",
            "--server-model",
            "referee",
        ];
        refuse("judge", &flags, parts);
    };
    let file = |name: &str, lines: &[&str]| {
        pools::write(folder.path(), name, lines).to_str().unwrap().to_owned()
    };
    let one = r#"{"id": "q0", "output": "x"}"#;
    refused(&file("few.jsonl", &[one]), &["few.jsonl", "no answer with the id q1", "row 1"]);
    refused(&file("twice.jsonl", &[one, one]), &["twice.jsonl line 2", "a second answer", "q0"]);
    refused(
        &file("text.jsonl", &[one, "hello"]),
        &["text.jsonl line 2", "expected `id` and `output`"],
    );
    // Without --reference the questions must have answers.
    let flags = [
        "--questions",
        &questions,
        "--answers",
        &model,
        "--out",
        &out,
        "--server",
        "http://127.0.0.1:9/v1",
        "--server-model",
        "referee",
    ];
    refuse("judge", &flags, &["questions.jsonl", "keys id, instruction, input"]);
    let blank: Vec<String> = (0..6)
        .map(|n| json!({ "id": format!("q{n}"), "instruction": "Ask", "output": " " }).to_string())
        .collect();
    let blank = pools::write(folder.path(), "blank.jsonl", &blank);
    let mut flags = flags;
    flags[1] = blank.to_str().unwrap();
    refuse("judge", &flags, &["row 0 (id q0)", "no answer to compare with", "--reference"]);
    // Answers on trial where the judge keeps its own.
    let own = pools::write(folder.path(), "answers.jsonl", &[one]);
    (flags[3], flags[5]) = (own.to_str().unwrap(), folder.path().to_str().unwrap());
    refuse("judge", &flags, &["answers.jsonl"]);
    assert_eq!(fs::read_to_string(&own).unwrap(), one);
}
