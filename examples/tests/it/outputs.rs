//! What a good run writes.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::pools::{self, ROWS};
use crate::program::{finished, model};

#[test]
fn the_chosen_lines_are_lines_of_the_pool() {
    let pool = pools::pairs();
    let selected = finished().selected();
    assert_eq!(selected.len(), 10);
    let distinct: HashSet<&String> = selected.iter().collect();
    assert_eq!(distinct.len(), 10);
    for line in &selected {
        assert!(pool.contains(line), "not a line of the pool: {line}");
    }
    // Among them are lines that would not survive being parsed and written again.
    let rewritten: Vec<String> =
        selected.iter().map(|l| serde_json::from_str::<Value>(l).unwrap().to_string()).collect();
    assert_ne!(selected, rewritten);
}

#[test]
fn every_row_has_its_line_of_scores() {
    let scores = finished().scores();
    assert_eq!(scores.len(), ROWS);
    let keys = [
        "id",
        "index",
        "mean",
        "mean_normalised",
        "min",
        "share_helped",
        "cluster",
        "selected",
        "reason",
    ];
    let clusters = finished().count("clusters");
    for (n, line) in scores.iter().enumerate() {
        let found: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(found, keys);
        assert_eq!(line["id"], format!("p{n}"));
        assert_eq!(line["index"], n);
        let number = |key: &str| line[key].as_f64().unwrap();
        assert!(number("min") <= number("mean"));
        // Divided by a norm, so of the same sign.
        assert!(number("mean") * number("mean_normalised") >= 0.0);
        // Four seeds.
        assert!([0.0, 0.25, 0.5, 0.75, 1.0].contains(&number("share_helped")));
        assert_eq!(number("share_helped") >= 1.0, number("min") > 0.0);
        match line["cluster"].as_u64() {
            Some(cluster) => assert!(cluster < clusters),
            None => assert_eq!(line["selected"], false),
        }
        assert!(!line["reason"].as_str().unwrap().is_empty());
    }
}

#[test]
fn chosen_lines_are_those_marked_as_selected() {
    let pool = pools::pairs();
    let marked: Vec<&String> = finished()
        .scores()
        .iter()
        .zip(&pool)
        .filter_map(|(line, row)| (line["selected"] == true).then_some(row))
        .collect();
    assert_eq!(marked, finished().selected().iter().collect::<Vec<_>>());
}

#[test]
fn the_record_says_what_was_done() {
    let run = finished().run();
    assert_eq!(run["program"], "gdig");
    for (count, expected) in [("read", ROWS), ("rejected", 0), ("scored", ROWS), ("selected", 10)] {
        assert_eq!(run["counts"][count], expected, "{count}");
    }
    let scores = finished().scores();
    let helpful = scores.iter().filter(|line| !line["cluster"].is_null()).count();
    assert_eq!(run["counts"]["helpful"], helpful);
    let stages: Vec<&Value> =
        run["stages"].as_array().unwrap().iter().map(|stage| &stage["name"]).collect();
    assert_eq!(stages, ["adapt", "curvature", "gradients", "select"]);
    for stage in ["adapt", "curvature", "gradients"] {
        assert!(!finished().resumed(stage), "{stage}");
    }
    for (name, expected) in [
        ("budget", json!(10)),
        ("adapt_epochs", json!(1)),
        ("adapt_lr", json!(1e-3)),
        ("adapt_batch", json!(16)),
        // A default: what was not given is there as well.
        ("row_type", json!("f16")),
    ] {
        assert_eq!(run["parameters"][name], expected, "{name}");
    }
}

#[test]
fn the_record_names_what_was_read_and_written_by_content() {
    let run = finished().run();
    let folder = finished().out.parent().unwrap();
    for (list, name, path) in [
        ("inputs", "pool.jsonl", folder.join("pool.jsonl")),
        ("inputs", "seeds.jsonl", folder.join("seeds.jsonl")),
        ("outputs", "selected.jsonl", finished().out.join("selected.jsonl")),
        ("outputs", "scores.jsonl", finished().out.join("scores.jsonl")),
    ] {
        let bytes = fs::read(path).unwrap();
        let files = run[list].as_array().unwrap();
        let file = files.iter().find(|f| f["path"].as_str().unwrap().ends_with(name)).unwrap();
        assert_eq!(file["bytes"], bytes.len(), "{name}");
        assert_eq!(file["blake3"], tamis::artifact::hash_bytes(&bytes), "{name}");
    }
}

#[test]
fn the_record_names_the_model_and_the_threads() {
    let run = finished().run();
    let inputs = run["inputs"].as_array().unwrap();
    let model = model();
    let found = inputs.iter().find(|input| Path::new(input["path"].as_str().unwrap()) == model);
    let hash = found.expect("the model is not among the inputs")["blake3"].as_str().unwrap();
    assert_eq!(hash.len(), 64);
    assert_eq!(run["environment"]["threads"], 1);
    assert_eq!(run["environment"]["device"], "cpu");
}

#[test]
fn the_report_needs_nothing_from_elsewhere() {
    let page = finished().text("report.html");
    assert!(page.trim_end().ends_with("</html>"));
    assert!(page.contains("<svg"));
    let rest = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http://", "https://", "src=", "<link", "@import", "url("] {
        assert!(!rest.contains(outside), "{outside}");
    }
}

#[test]
fn the_files_are_printed() {
    for name in ["selected.jsonl", "scores.jsonl", "run.json", "report.html"] {
        let path = finished().out.join(name);
        assert!(finished().printed.lines().any(|line| line == path.to_str().unwrap()), "{name}");
    }
}
