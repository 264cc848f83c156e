//! Data that is wrong: an error that says where, or a row left out with the reason.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::pools;
use crate::program::{Gdig, finished, refuse_all};

/// A folder with good seeds and a pool of these lines.
fn with_pool<L: AsRef<str>>(lines: &[L]) -> (TempDir, Gdig) {
    let folder = tempfile::tempdir().unwrap();
    let pool = pools::write(folder.path(), "pool.jsonl", lines);
    let seeds = pools::write(folder.path(), "seeds.jsonl", &pools::seeds());
    let gdig = Gdig::new(&pool, &seeds, &folder.path().join("out"));
    (folder, gdig)
}

/// A folder with the good pool and seeds of these lines.
fn with_seeds<L: AsRef<str>>(lines: &[L]) -> (TempDir, Gdig) {
    let (folder, gdig) = with_pool(&pools::pairs());
    let seeds = pools::write(folder.path(), "seeds.jsonl", lines);
    (folder, gdig.path("seeds", &seeds))
}

fn out(folder: &TempDir) -> PathBuf {
    folder.path().join("out")
}

#[test]
fn an_empty_file() {
    for text in ["", "\n\n"] {
        with_pool(&[text]).1.refuse(&["pool.jsonl", "no rows"]);
        with_seeds(&[text]).1.refuse(&["seeds.jsonl", "no rows"]);
    }
}

#[test]
fn a_missing_file() {
    let (folder, gdig) = with_pool(&pools::pairs());
    gdig.clone().path("pool", &folder.path().join("nowhere.jsonl")).refuse(&["nowhere.jsonl"]);
    gdig.clone().path("seeds", &folder.path().join("nowhere.jsonl")).refuse(&["nowhere.jsonl"]);
    gdig.path("pool", folder.path()).refuse(&[folder.path().to_str().unwrap()]);
    assert!(!out(&folder).exists(), "an output folder although nothing was begun");
}

#[test]
fn an_id_used_twice() {
    let mut rows = pools::pairs();
    rows[30] = pools::line("p11", "le chat", "the cat");
    with_pool(&rows).1.refuse(&["pool.jsonl", "p11", "line 31", "line 12"]);
}

#[test]
fn bytes_that_are_not_text() {
    let (folder, gdig) = with_pool(&pools::pairs());
    let pool = folder.path().join("pool.jsonl");
    let mut bytes = fs::read(&pool).unwrap();
    // In the middle of the word `cat` of line 8.
    let line = pools::pairs()[..7].iter().map(|l| l.len() + 1).sum::<usize>();
    let at = line + pools::pairs()[7].find("le ").unwrap();
    bytes[at] = 0xFF;
    fs::write(&pool, bytes).unwrap();
    gdig.refuse(&["pool.jsonl", "line 8", "UTF-8"]);

    let run = gdig.switch("skip-bad-rows").succeed();
    assert_eq!((run.count("read"), run.count("rejected")), (48, 1));
    assert!(run.run()["notes"].to_string().contains("line 8"));
    // The other rows keep their numbers.
    let scores = run.scores();
    assert_eq!(scores.len(), 47);
    assert!(scores.iter().all(|line| line["id"] == format!("p{}", line["index"])));
}

#[test]
fn a_line_that_is_not_json_and_a_field_that_is_not_there() {
    let mut rows = pools::pairs();
    rows[3].pop();
    with_pool(&rows).1.refuse(&["pool.jsonl", "line 4", "JSON"]);
    let mut rows = pools::pairs();
    rows[5] = r#"{"id": "p5", "src": "le chat"}"#.to_owned();
    with_pool(&rows).1.refuse(&["pool.jsonl", "line 6", "tgt"]);
    rows[5] = r#"{"id": "p5", "src": "le chat", "tgt": 7}"#.to_owned();
    with_pool(&rows).1.refuse(&["pool.jsonl", "line 6", "tgt", "string"]);
}

#[test]
fn a_row_with_nothing_to_learn_is_left_out_with_the_reason() {
    let mut rows = pools::pairs();
    rows[9] = pools::line("p9", "le chat", "");
    rows[20] = pools::line("p20", "le chat", " \t");
    let run = with_pool(&rows);
    let run = run.1.succeed();
    let scores = run.scores();
    assert_eq!(scores.len(), pools::ROWS);
    for (n, line) in scores.iter().enumerate() {
        let left_out = n == 9 || n == 20;
        assert_eq!(line["index"], n);
        assert_eq!(line["mean"].is_null(), left_out, "{line}");
        assert_eq!(line["reason"] == "the target is empty", left_out, "{line}");
        if left_out {
            assert_eq!(line["selected"], false);
        }
    }
    assert_eq!((run.count("scored"), run.count("rejected")), (46, 2));
}

#[test]
fn rows_that_are_too_long_are_left_out_with_the_reason() {
    let mut rows = pools::pairs();
    rows[13] = pools::line("p13", "le chat", &"the cat ".repeat(20));
    let run = with_pool(&rows);
    let run = run.1.with("max-length", 100).succeed();
    let scores = run.scores();
    assert_eq!(scores.len(), pools::ROWS);
    assert_eq!(scores[13]["reason"], "the length limit cuts the target");
    assert!(scores.iter().enumerate().all(|(n, line)| line["mean"].is_null() == (n == 13)));
    assert_eq!(run.count("rejected"), 1);
}

#[test]
fn rows_that_are_all_too_long() {
    let rows: Vec<String> =
        (0..12).map(|n| pools::line(&n.to_string(), "le chat", &"the cat ".repeat(20))).collect();
    let (_folder, gdig) = with_pool(&rows);
    let gdig = gdig.with("max-length", 100);
    let adapted = gdig.clone().switch("adapted");
    let plain = adapted.clone().with("curvature", "identity");
    let why: &[&str] = &["the length limit cuts the target"];
    refuse_all([(gdig, why), (adapted, why), (plain, why)]);
}

#[test]
fn a_row_longer_than_the_model_can_read() {
    let mut rows = pools::pairs();
    rows[13] = pools::line("p13", "le chat", &"the cat ".repeat(20));
    // Within --max-length, but not within the model's positions: the row is named.
    let (_folder, gdig) = with_pool(&rows);
    gdig.clone().refuse(&["p13", "128"]);
    for curvature in ["identity", "kfac"] {
        gdig.clone().switch("adapted").with("curvature", curvature).refuse(&["p13", "128"]);
    }
    // A seed as well.
    let mut seeds = pools::seeds();
    seeds[2] = pools::line("s2", "la vache", &"the cow ".repeat(20));
    with_seeds(&seeds).1.refuse(&["s2", "128"]);
}

#[test]
fn a_seed_that_cannot_be_used() {
    let mut seeds = pools::seeds();
    seeds[2] = pools::line("s2", "la vache", "");
    with_seeds(&seeds).1.refuse(&["seed s2", "the target is empty"]);
    seeds[2] = pools::line("s2", "la vache", &"the cow ".repeat(20));
    with_seeds(&seeds).1.with("max-length", 100).refuse(&["seed s2", "the length limit"]);
}

#[test]
fn budgets_that_cannot_be_met() {
    let (folder, gdig) = with_pool(&pools::pairs());
    gdig.clone().with("budget", 49).refuse(&["budget", "49", "48"]);
    gdig.clone().with("budget", 0).refuse(&["budget is 0", "1"]);
    gdig.with("budget", -1).refuse(&["budget"]);
    assert!(!out(&folder).exists(), "an output folder although nothing was begun");

    // Enough rows, but not enough of which something can be said.
    let mut rows = pools::pairs()[..4].to_vec();
    rows[1] = pools::line("p1", "le chat", "");
    with_pool(&rows).1.with("budget", 4).refuse(&["4", "3"]);
}

#[test]
fn rows_that_do_not_fit_the_template() {
    let row = r#"{"instruction": "count", "output": "one two"}"#;
    let (folder, gdig) = with_pool(&[row]);
    let gdig = gdig.with("budget", 1);
    gdig.clone().with("format", "translation-jsonl").refuse(&["pool.jsonl", "src"]);
    gdig.clone().refuse(&["translation"]);
    gdig.with("format", "nonsense").refuse(&["nonsense", "translation-jsonl"]);
    assert!(!out(&folder).join("selected.jsonl").exists());
}

/// Results have fixed names in the output folder. Data that has such a name there must not be lost.
#[test]
fn data_that_would_be_overwritten() {
    for (flag, from, to) in
        [("pool", "pool.jsonl", "selected.jsonl"), ("seeds", "seeds.jsonl", "scores.jsonl")]
    {
        let (folder, gdig) = with_pool(&pools::pairs());
        fs::create_dir_all(out(&folder)).unwrap();
        let data = out(&folder).join(to);
        fs::rename(folder.path().join(from), &data).unwrap();
        let before = fs::read(&data).unwrap();
        let gdig = gdig.path(flag, &data);
        let fault = gdig.fault(&[to, "--out"]);
        assert!(fs::read(&data).unwrap() == before, "the {flag} is gone");
        assert_eq!(fault, None);
    }
}

#[test]
fn the_same_rows_elsewhere_are_the_same_pool() {
    // Not an error: a pool is known by its content, so a moved one goes on where it was.
    let (folder, gdig) = crate::program::copy();
    let moved = folder.path().join("renamed.jsonl");
    fs::rename(folder.path().join("pool.jsonl"), &moved).unwrap();
    let run = gdig.path("pool", Path::new(&moved)).succeed();
    assert!(run.resumed("gradients"));
    assert_eq!(run.result(), finished().result());
}
