//! Ways of doing it: curvatures, kinds of scores, formats and templates.

use std::fs;

use serde_json::{Value, json};

use crate::pools::{self, pair};
use crate::program::{Gdig, contents, finished};

fn means(scores: &[Value]) -> Vec<f64> {
    scores.iter().map(|line| line["mean"].as_f64().unwrap()).collect()
}

#[test]
fn every_curvature_with_every_kind_of_scores() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let mut seen = Vec::new();
    for curvature in ["identity", "kfac", "ekfac", "diagonal"] {
        for kind in ["fresh", "stored"] {
            let out = folder.path().join(format!("{curvature}-{kind}"));
            // What random directions do to other eigenvalues than K-FAC's is not known.
            let projection = match (curvature, kind) {
                ("ekfac", "stored") => "pca:8x8",
                ("diagonal", "stored") => "full",
                _ => "16x16",
            };
            let flags = [("curvature", curvature), ("scores", kind), ("projection", projection)];
            let run = Gdig::new(&pool, &seeds, &out).with_all(&flags).succeed();
            assert_eq!(run.selected().len(), 10);
            assert_eq!(out.join("factors").exists(), curvature.contains("kfac"));
            assert_eq!(out.join("moments").exists(), curvature == "ekfac");
            assert_eq!(out.join("diagonal").exists(), curvature == "diagonal");
            assert_eq!(out.join("scores").exists(), kind == "fresh");
            let means = means(&run.scores());
            assert!(!seen.contains(&means), "{curvature}, {kind}: the scores of another way");
            seen.push(means);
        }
    }
    // What is not said is fresh K-FAC for seeds that fit.
    assert_eq!(seen[2], means(&finished().scores()));
}

#[test]
fn stored_whole_gradients_score_like_fresh_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    for (curvature, projection) in [
        ("identity", "full"),
        ("kfac", "full"),
        ("ekfac", "full"),
        ("diagonal", "full"),
        ("kfac", "pca:1000x1000"),
        ("ekfac", "pca:1000x1000"),
    ] {
        let flags = [("curvature", curvature), ("projection", projection), ("row-type", "f32")];
        let out = folder.path().join(format!("{curvature}-{}", projection.len()));
        let gdig = Gdig::new(&pool, &seeds, &out).with_all(&flags);
        let fresh = means(&gdig.clone().with("scores", "fresh").succeed().scores());
        let stored = means(&gdig.with("scores", "stored").succeed().scores());
        let size = fresh.iter().fold(0.0f64, |size, mean| size.max(mean.abs()));
        for (n, (a, b)) in fresh.iter().zip(&stored).enumerate() {
            assert!((a - b).abs() < 1e-4 * size, "{curvature}, row {n}: {a} against {b}");
        }
    }
}

#[test]
fn curvature_that_is_not_known_for_the_stored_form_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let gdig = Gdig::new(&pool, &seeds, &folder.path().join("out")).with("scores", "stored");
    gdig.clone().with("curvature", "ekfac").refuse(&["ekfac", "pca:OUTxIN"]);
    let out = folder.path().join("other");
    let gdig = Gdig::new(&pool, &seeds, &out).with_all(&[("curvature", "identity")]);
    gdig.with("projection", "pca:8x8").refuse(&["pca:8x8", "identity"]);
}

/// Curvature from a part of the pool, and a few layers at a time.
#[test]
fn curvature_of_a_sample_and_in_groups_of_layers() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let run = |out: &str, flags: &[(&str, &str)]| {
        Gdig::new(&pool, &seeds, &folder.path().join(out)).with_all(flags).succeed()
    };
    let whole = run("whole", &[("curvature", "ekfac")]);
    let grouped = run("grouped", &[("curvature", "ekfac"), ("curvature-layers", "3")]);
    assert!(grouped.out.join("factors-001").exists() && grouped.out.join("moments-001").exists());
    let (whole, grouped) = (means(&whole.scores()), means(&grouped.scores()));
    let size = whole.iter().fold(0.0f64, |size, mean| size.max(mean.abs()));
    for (a, b) in whole.iter().zip(&grouped) {
        assert!((a - b).abs() < 1e-4 * size, "{a} {b}");
    }
    let few = run("few", &[("curvature", "ekfac"), ("curvature-samples", "10")]);
    assert_ne!(means(&few.scores()), whole);
}

#[test]
fn a_model_adapted_before_gives_what_adapting_gives() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let gdig = Gdig::new(&pool, &seeds, &folder.path().join("out"))
        .path("model", &finished().out.join("adapted"))
        .switch("adapted");
    let run = gdig.succeed();
    assert_eq!(run.result(), finished().result());
    assert!(!run.out.join("adapted").exists());
    assert!(run.run()["notes"].to_string().contains("--adapted"));
}

#[test]
fn an_alpaca_file() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<Value> = (0..24)
        .map(|n| {
            let (question, answer) = pair(n);
            let input = if n % 3 == 0 { "" } else { "in short" };
            json!({ "instruction": question, "input": input, "output": answer, "source": n })
        })
        .collect();
    let write = |name: &str, rows: &[Value]| {
        let path = folder.path().join(name);
        fs::write(&path, serde_json::to_string_pretty(rows).unwrap()).unwrap();
        path
    };
    let (pool, seeds) = (write("pool.json", &rows[3..]), write("seeds.json", &rows[..3]));
    // The template alone takes more tokens than the model of these tests has positions.
    let long = Gdig::new(&pool, &seeds, &folder.path().join("long")).with("template", "alpaca");
    long.refuse(&["128"]);

    let model = crate::bad_model::model_with(folder.path(), "wide", |config| {
        config["max_position_embeddings"] = json!(512);
    });
    let out = folder.path().join("out");
    let gdig = Gdig::new(&pool, &seeds, &out).with_all(&[("template", "alpaca"), ("budget", "7")]);
    let run = gdig.path("model", &model).succeed();
    let selected = run.selected();
    assert_eq!(selected.len(), 7);
    let written: Vec<String> = rows[3..].iter().map(Value::to_string).collect();
    for line in &selected {
        assert!(written.contains(line), "{line}");
    }
    // Rows without an id are named by what they hold.
    assert!(run.scores().iter().all(|line| !line["id"].as_str().unwrap().is_empty()));
}

#[test]
fn chats_in_the_tokenizers_own_template() {
    let folder = tempfile::tempdir().unwrap();
    let chat = |n: usize| {
        let (question, answer) = pair(n);
        let turns = json!([
            { "role": "user", "content": question },
            { "role": "assistant", "content": answer },
        ]);
        json!({ "messages": turns }).to_string()
    };
    let rows: Vec<String> = (0..20).map(chat).collect();
    let pool = pools::write(folder.path(), "pool.jsonl", &rows[2..]);
    let seeds = pools::write(folder.path(), "seeds.jsonl", &rows[..2]);
    let gdig = Gdig::new(&pool, &seeds, &folder.path().join("out"));
    let run = gdig.with_all(&[("template", "chat"), ("budget", "5")]).succeed();
    let selected = run.selected();
    assert_eq!(selected.len(), 5);
    assert!(selected.iter().all(|line| rows[2..].contains(line)));
}

#[test]
fn tab_separated_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<String> = (0..30)
        .map(|n| {
            let (source, target) = pair(n);
            format!("{source}\t{target}")
        })
        .collect();
    let pool = pools::write(folder.path(), "pool.tsv", &rows[3..]);
    let seeds = pools::write(folder.path(), "seeds.tsv", &rows[..3]);
    let run = Gdig::new(&pool, &seeds, &folder.path().join("out")).succeed();
    let native = run.text("selected.tsv");
    assert_eq!(native.lines().count(), 10);
    assert!(native.lines().all(|line| rows[3..].iter().any(|row| row == line)));
    // Beside it the same rows as JSON.
    for (line, row) in native.lines().zip(run.selected()) {
        let row: Value = serde_json::from_str(&row).unwrap();
        let pair = format!("{}\t{}", row["src"].as_str().unwrap(), row["tgt"].as_str().unwrap());
        assert_eq!(pair, line);
    }
    assert_eq!(run.selected().len(), 10);
}

#[test]
fn a_pool_of_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pools::write(folder.path(), "pool.jsonl", &pools::pairs()[..1]);
    let seeds = pools::write(folder.path(), "seeds.jsonl", &pools::seeds()[..1]);
    for (n, flags) in [
        [("curvature", "kfac"), ("within", "random")],
        [("curvature", "identity"), ("within", "nearest")],
        [("scores", "stored"), ("within", "best-score")],
    ]
    .iter()
    .enumerate()
    {
        let gdig = Gdig::new(&pool, &seeds, &folder.path().join(n.to_string())).with("budget", 1);
        let run = gdig.with_all(flags).succeed();
        assert_eq!(run.selected(), &pools::pairs()[..1]);
        assert_eq!(run.scores().len(), 1);
        assert!(run.text("report.html").contains("</html>"));
    }
}

#[test]
fn the_whole_pool() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let gdig = Gdig::new(&pool, &seeds, &folder.path().join("out"));
    let run = gdig.with("budget", pools::ROWS).succeed();
    assert_eq!(run.selected(), pools::pairs());
}

#[test]
fn rows_alike_in_all_but_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<String> =
        (0..8).map(|n| pools::line(&n.to_string(), "le chat", "the cat")).collect();
    let pool = pools::write(folder.path(), "pool.jsonl", &rows);
    let seeds = pools::write(folder.path(), "seeds.jsonl", &pools::seeds());
    let gdig = Gdig::new(&pool, &seeds, &folder.path().join("out"));
    let run = gdig.with_all(&[("budget", "3"), ("clusters", "3")]).succeed();
    assert_eq!(run.selected().len(), 3);
}

#[test]
fn other_files_in_the_output_folder_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let out = folder.path().join("out");
    fs::create_dir_all(out.join("mine")).unwrap();
    fs::write(out.join("notes.txt"), "keep").unwrap();
    fs::write(out.join("mine/gradients.txt"), "keep").unwrap();
    let run = Gdig::new(&pool, &seeds, &out).succeed();
    assert_eq!(run.result(), finished().result());
    let after = contents(&out);
    for name in ["notes.txt", "mine/gradients.txt"] {
        assert_eq!(after[std::path::Path::new(name)], b"keep", "{name}");
    }
}
