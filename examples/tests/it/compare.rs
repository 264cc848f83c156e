//! `compare` from outside: the same selection told in several ways, its figures by plain loops, and what
//! is refused.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tamis::embeddings::Embeddings;

use crate::pools;
use crate::program::{refuse, succeed};

const ROWS: usize = 30;

fn point(n: usize) -> [f32; 2] {
    // Rows 28 and 29 lie where row 0 lies.
    let n = if n > 27 { 0 } else { n };
    [(n % 7) as f32 - 2.5, (n / 7) as f32 + 0.25]
}

fn answer(n: usize) -> String {
    "ä".repeat(n + 1)
}

/// Rows with ids, of which 5 and 6 ask the same.
fn write_pool(folder: &Path) -> [String; 2] {
    let question = |n: usize| if n == 6 { "ASK 5!".to_owned() } else { format!("Ask {n}.") };
    let row = |n: usize| json!({ "id": format!("r{n}"), "instruction": question(n), "output": answer(n) });
    let lines: Vec<String> = (0..ROWS).map(|n| row(n).to_string()).collect();
    let data = pools::write(folder, "rows.jsonl", &lines);
    let numbers = (0..ROWS).flat_map(point).collect();
    let npy = folder.join("rows.npy");
    Embeddings::from_rows(numbers, 2, None).unwrap().write_npy(&npy).unwrap();
    [format!("--data={}", data.display()), format!("--embeddings={}", npy.display())]
}

fn write(folder: &Path, name: &str, lines: &[Value]) -> String {
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    pools::write(folder, name, &lines).display().to_string()
}

fn found(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeed("compare", &[arguments, &["--json"]].concat())).unwrap()
}

#[test]
fn one_selection_told_in_every_way() {
    let folder = tempfile::tempdir().unwrap();
    let [data, npy] = write_pool(folder.path());
    let chosen = [3_usize, 5, 6, 29];
    let scores: Vec<Value> = (0..ROWS)
        .map(|n| json!({ "id": format!("r{n}"), "index": n, "selected": chosen.contains(&n) }))
        .collect();
    fs::create_dir(folder.path().join("run")).unwrap();
    write(&folder.path().join("run"), "scores.jsonl", &scores);
    let run = folder.path().join("run").display().to_string();
    let by_index: Vec<Value> =
        chosen.iter().map(|n| json!({ "index": n, "selected": true })).collect();
    let by_index = write(folder.path(), "by-index.jsonl", &by_index);
    let all = fs::read_to_string(folder.path().join("rows.jsonl")).unwrap();
    let rows: Vec<Value> = chosen
        .iter()
        .map(|&n| serde_json::from_str(all.lines().nth(n).unwrap()).unwrap())
        .collect();
    let rows = write(folder.path(), "chosen.jsonl", &rows);

    let named = format!("again={rows}");
    let found = found(&[&data, &npy, &run, &by_index, &named]);
    let sets = found["selections"].as_array().unwrap();
    assert_eq!((&found["pool"]["rows"], sets.len()), (&json!(ROWS), 3));
    assert_eq!(sets[2]["name"], "again");
    for set in sets {
        let (mut set, mut first) = (set.clone(), sets[0].clone());
        set["name"].take();
        first["name"].take();
        assert_eq!(set, first);
    }
    for overlap in found["overlaps"].as_array().unwrap() {
        assert_eq!((&overlap["common"], &overlap["jaccard"]), (&json!(4), &json!(1.0)));
    }

    // The figures, by plain loops.
    let distance = |a: usize, b: usize| {
        let (a, b) = (point(a), point(b));
        f64::from(a[0] - b[0]).hypot(f64::from(a[1] - b[1]))
    };
    let nearest: Vec<f64> = (0..ROWS)
        .map(|row| chosen.iter().map(|&c| distance(row, c)).fold(f64::INFINITY, f64::min))
        .collect();
    let close = |value: &Value, expected: f64| {
        assert!((value.as_f64().unwrap() - expected).abs() < 1e-6, "{value} {expected}");
    };
    let set = &sets[0];
    close(&set["geometry"]["coverage_radius"], nearest.iter().copied().fold(0.0, f64::max));
    close(&set["geometry"]["mean_nearest"], nearest.iter().sum::<f64>() / ROWS as f64);
    close(&set["answer_characters"]["mean"], f64::from(4 + 6 + 7 + 30) / 4.0);
    assert_eq!(set["answer_characters"]["max"], 30);
    assert_eq!(set["repeated_questions"], json!({ "exact": 0, "alike": 1 }));
    assert_eq!(set["repeated_answers"], json!({ "exact": 0, "alike": 0 }));
}

#[test]
fn tables_show_what_is_known_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let [data, npy] = write_pool(folder.path());
    let some = |numbers: &[usize]| -> Vec<Value> {
        numbers.iter().map(|n| json!({ "index": n, "selected": true })).collect()
    };
    let a = format!("a={}", write(folder.path(), "a.jsonl", &some(&[0, 28, 29, 12])));
    let b = format!("b={}", write(folder.path(), "b.jsonl", &some(&[12, 13])));

    let printed = succeed("compare", &[&npy, &a, &b]);
    let row = |name: &str| printed.lines().find(|line| line.contains(name)).unwrap_or_default();
    let cells: Vec<&str> = row("equal embeddings").split('|').map(str::trim).collect();
    assert_eq!(cells[2..4], ["2", "0"], "{printed}");
    assert!(row("a, b").contains("20.0 %"), "{printed}");
    assert!(!printed.contains("characters"));

    let printed = succeed("compare", &[&data, &a]);
    assert!(printed.contains("characters of answers, median") && !printed.contains("radius"));
    assert!(!printed.contains("rows in both"));
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [data, npy] = write_pool(folder.path());
    let file = |name: &str, lines: &[Value]| write(folder.path(), name, lines);
    let chosen = |n: usize| json!({ "index": n, "selected": true });

    refuse("compare", &[&data], &["PATH"]);
    refuse("compare", &["a.jsonl"], &["--embeddings"]);
    let folder_name = folder.path().display().to_string();
    refuse("compare", &[&npy, &folder_name], &["no scores.jsonl"]);
    let beyond = file("beyond.jsonl", &[chosen(3), chosen(30)]);
    refuse("compare", &[&npy, &beyond], &["line 2", "no row 30"]);
    let twice = file("twice.jsonl", &[chosen(3), chosen(3)]);
    refuse("compare", &[&npy, &twice], &["line 2", "named before, in line 1"]);
    let odd = file("odd.jsonl", &[json!({ "index": 1, "selected": 1 })]);
    refuse("compare", &[&npy, &odd], &["line 1", "`selected` is 1"]);
    let none = file("none.jsonl", &[json!({ "index": 1, "selected": false })]);
    refuse("compare", &[&npy, &none], &["chooses no row"]);
    let rows = file("others.jsonl", &[json!({ "instruction": "Sing.", "output": "La." })]);
    refuse("compare", &[&npy, &rows], &["line 1", "neither `id` nor `index`", "--data"]);
    refuse("compare", &[&data, &rows], &["row 0", "the pool has no row"]);
    let fine = file("fine.jsonl", &[chosen(3)]);
    refuse("compare", &[&npy, &fine, "--near=1.5"], &["--near is 1.5", "-1 to 1"]);
    fs::write(folder.path().join("torn.jsonl"), "{\"index\": 3, \"sel").unwrap();
    let torn = folder.path().join("torn.jsonl").display().to_string();
    refuse("compare", &[&npy, &torn], &["torn.jsonl", "line 1", "no JSON"]);
}
