//! Results in the forms of other programs.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tamis::dataset::{Dataset, ReadOptions};

use crate::pools;
use crate::program::{contents, model, refuse, succeed};

const FILES: [&str; 6] = [
    "dataset_info.json",
    "scores.parquet",
    "selected.alpaca.json",
    "selected.alpaca.yaml",
    "selected.sharegpt.json",
    "selected.sharegpt.yaml",
];

/// A template with fewer letters than the model reads tokens.
const NONE: &str = "--template=none";

fn ifd(folder: &Path, pool: &Path, flags: &[&str]) -> String {
    let own = [
        format!("--model={}", model().display()),
        format!("--pool={}", pool.display()),
        format!("--out={}", folder.join("out").display()),
    ];
    let mut all: Vec<&str> = own.iter().map(String::as_str).collect();
    all.extend([
        "--max-length=120",
        "--target-lang=Cat",
        "--no-bounds",
        "--threads=1",
        "--count=3",
    ]);
    all.extend(flags);
    if flags.contains(&"--refused") {
        all.pop();
        refuse("ifd", &all, &["--export alpaca", "`talk`", "turn 2"]);
        return String::new();
    }
    succeed("ifd", &all)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn chosen_rows_and_scores_are_there_in_every_form_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, _) = pools::write_pairs(folder.path());
    let out = folder.path().join("out");
    let printed = ifd(folder.path(), &pool, &["--export=parquet,alpaca,sharegpt", NONE]);
    for name in FILES {
        assert!(printed.lines().any(|line| line == out.join(name).to_str().unwrap()), "{name}");
    }
    let run = json(&out.join("run.json"));
    let written: Vec<&str> =
        run["outputs"].as_array().unwrap().iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert!(
        FILES.iter().all(|name| written.iter().any(|path| path.ends_with(name))),
        "{written:?}"
    );

    // The chosen rows, in their order, with their ids.
    let open = |name: &str| {
        let data = Dataset::open(out.join(name), &ReadOptions::default()).unwrap();
        data.read_range(0..data.len()).unwrap()
    };
    let selected = open("selected.jsonl");
    for name in ["selected.alpaca.json", "selected.sharegpt.json"] {
        let ids =
            |rows: &[tamis::dataset::Sample]| rows.iter().map(|r| r.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&open(name)), ids(&selected));
    }
    let row = &json(&out.join("selected.alpaca.json"))[0];
    assert_eq!(row["instruction"], "Translate the following text into Cat.");
    let tamis::dataset::Content::Translation { source, target } = &selected[0].content else {
        panic!("{selected:?}")
    };
    assert_eq!((&row["input"], &row["output"]), (&json!(source), &json!(target)));
    let info = json(&out.join("dataset_info.json"));
    assert_eq!(info["selected_alpaca"]["file_name"], "selected.alpaca.json");
    assert_eq!(info["selected_sharegpt"]["formatting"], "sharegpt");
    let yaml = fs::read_to_string(out.join("selected.alpaca.yaml")).unwrap();
    assert!(yaml.contains(out.join("selected.alpaca.json").to_str().unwrap()), "{yaml}");

    // The scores, with a text, a number and a truth value of every row.
    let scores = Dataset::open(
        out.join("scores.parquet"),
        &ReadOptions {
            fields: tamis::dataset::Fields {
                source: "id".to_owned(),
                target: "reason".to_owned(),
                ..Default::default()
            },
            ..ReadOptions::default()
        },
    );
    let index = scores.unwrap().field("index").unwrap();
    assert_eq!(index, (0..pools::ROWS).map(|n| Some(json!(n))).collect::<Vec<_>>());

    // What belongs to other rows does not stay.
    ifd(folder.path(), &pool, &[NONE, "--export=sharegpt"]);
    let left = contents(&out);
    for name in FILES {
        let there = left.contains_key(Path::new(name));
        assert_eq!(there, name.contains("sharegpt") || name == "dataset_info.json", "{name}");
    }
    ifd(folder.path(), &pool, &[NONE]);
    let left = contents(&out);
    assert!(FILES.iter().all(|name| !left.contains_key(Path::new(name))));
}

#[test]
fn rows_that_a_form_cannot_express_are_named_and_results_are_no_input() {
    let folder = tempfile::tempdir().unwrap();
    let turns = |second: &str| json!([{"role": "user", "content": "a cat"}, {"role": second, "content": "sees"}]);
    let rows = [
        json!({"id": "talk", "messages": [
            {"role": "system", "content": "be brief"}, turns("assistant")[1], turns("assistant")[0],
            turns("assistant")[1],
        ]}),
        json!({"id": "good", "messages": turns("assistant")}),
    ]
    .map(|row| row.to_string());
    let pool = pools::write(folder.path(), "chats.jsonl", &rows);
    let chats = ["--template=vicuna", "--export=alpaca", "--refused"];
    ifd(folder.path(), &pool, &chats);

    let out = folder.path().join("out");
    fs::rename(&pool, out.join("scores.parquet")).unwrap();
    let [model, pool, out] = [
        format!("--model={}", model().display()),
        format!("--pool={}", out.join("scores.parquet").display()),
        format!("--out={}", out.display()),
    ];
    refuse("ifd", &[&model, &pool, &out, "--format=messages"], &["would be overwritten"]);
    let embeddings = ["--embeddings=rows.npy", "--budget=1", "--export=alpaca", out.as_str()];
    refuse("select", &embeddings, &["--export", "--data"]);
}
