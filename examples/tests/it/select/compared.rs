//! Selections beside each other, whoever made them.

use serde_json::{Value, json};

use super::{ROWS, Select, number, picked, rows, write};

/// The figures without the name.
fn figures(measured: &Value) -> Value {
    let mut figures = measured.clone();
    figures.as_object_mut().unwrap().remove("name");
    figures
}

#[test]
fn any_two_selections_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let lottery = Select::new(folder.path(), "lottery").with(&["--strategy=random"]).succeed();
    // Written by something else: indices of chosen rows only, in any order.
    let hand = [59, 0, 8, 12].map(|n| json!({ "index": n }).to_string());
    let hand = write(&folder.path().join("hand.jsonl"), &hand.join("\n"));
    let scores = lottery.out.join("scores.jsonl");
    let mut k_center = Select::new(folder.path(), "out");
    for file in [scores.to_str().unwrap(), &hand] {
        k_center.flags.push(format!("--compare={file}"));
    }
    let run = k_center.succeed();

    let (results, theirs) = (run.run()["results"].clone(), lottery.run()["results"].clone());
    let others = results["others"].as_array().unwrap();
    assert_eq!(others.len(), 2);
    assert_eq!((&others[0]["name"], &others[1]["name"]), (&json!("lottery"), &json!(hand)));
    assert_eq!(others[1]["chosen"], 4);
    let (found, expected) = (figures(&others[0]), figures(&theirs["choice"]));
    for (name, value) in expected.as_object().unwrap() {
        match value.as_f64() {
            // The rows come in another order, and so do sums.
            Some(value) => assert!((number(&found[name]) - value).abs() < 1e-9, "{name}"),
            None => assert_eq!(&found[name], value, "{name}"),
        }
    }
    let radius = |measured: &Value| number(&measured["coverage_radius"]);
    assert!(radius(&results["choice"]) < radius(&others[0]));
    assert!(run.printed.contains("; lottery "), "{}", run.printed);
    assert!(run.text("report.html").contains(">lottery<"));
    let inputs = run.run()["inputs"].as_array().unwrap().len();
    assert_eq!(inputs, 4, "embeddings, data and two selections");
}

#[test]
fn rows_that_were_there_already_are_in_every_set() {
    let folder = tempfile::tempdir().unwrap();
    let hand = [3, 9].map(|n| json!({ "id": format!("r{n}") }).to_string()).join("\n\n");
    let hand = format!("--compare={}", write(&folder.path().join("hand.jsonl"), &hand));
    let run = Select::new(folder.path(), "out").with(&[&hand, "--initial=3,5"]).succeed();
    assert_eq!(run.run()["results"]["others"][0]["chosen"], 3);
    assert_eq!(run.run()["results"]["choice"]["chosen"], 12);
}

#[test]
fn lengths_of_sets() {
    let folder = tempfile::tempdir().unwrap();
    let run = Select::new(folder.path(), "out").succeed();
    let length = |n: usize| {
        let row: Value = serde_json::from_str(&rows()[n]).unwrap();
        let count = |field: &str| row[field].as_str().unwrap().chars().count();
        (count("instruction") + count("output")) as f64
    };
    let check = |found: &Value, mut lengths: Vec<f64>| {
        lengths.sort_by(f64::total_cmp);
        let (count, middle) = (lengths.len(), lengths.len() / 2);
        assert!(count.is_multiple_of(2));
        for (name, expected) in [
            ("mean", lengths.iter().sum::<f64>() / count as f64),
            ("median", f64::midpoint(lengths[middle - 1], lengths[middle])),
            ("shortest", lengths[0]),
            ("longest", lengths[count - 1]),
        ] {
            assert!((number(&found[name]) - expected).abs() < 1e-9, "{name}: {found}");
        }
    };
    let results = &run.run()["results"];
    check(&results["choice"]["characters"], picked(&run).into_iter().map(length).collect());
    check(&results["pool"]["characters"], (0..ROWS).map(length).collect());
    assert!(results["random"][0]["characters"]["mean"].is_number());
    assert!(run.printed.contains("mean length"), "{}", run.printed);

    // Without data there is no text.
    let alone = Select::new(folder.path(), "alone").without("--data").succeed();
    assert_eq!(alone.run()["results"]["choice"]["characters"], Value::Null);
    assert!(!alone.printed.contains("length"), "{}", alone.printed);
}

#[test]
fn selections_of_something_else() {
    let folder = tempfile::tempdir().unwrap();
    for (text, parts) in [
        ("{", ["line 1", "EOF"].as_slice()),
        ("{\"id\":\"r1\"}\n{\"text\":\"x\"}", &["line 2", "neither `id` nor `index`"]),
        ("{\"id\":\"r60\"}", &["line 1 names a row", "r60"]),
        ("{\"index\":60}", &["line 1 names a row"]),
        ("{\"id\":\"r1\"}\n\n{\"index\":1}", &["line 3 names the same row as line 1"]),
        ("{\"id\":\"r1\",\"selected\":1}", &["`selected` is 1"]),
        ("{\"id\":\"r1\",\"selected\":false}", &["hand.jsonl chooses no row"]),
        ("", &["hand.jsonl chooses no row"]),
    ] {
        let hand = format!("--compare={}", write(&folder.path().join("hand.jsonl"), text));
        Select::new(folder.path(), "out").with(&[&hand]).refuse(parts);
    }
    let missing = format!("--compare={}", folder.path().join("missing.jsonl").display());
    Select::new(folder.path(), "out").with(&[&missing]).refuse(&["missing.jsonl"]);
    // Its own result would be replaced.
    let own = Select::new(folder.path(), "out").succeed();
    let own = format!("--compare={}", own.out.join("scores.jsonl").display());
    Select::new(folder.path(), "out").with(&[&own]).refuse(&["would be overwritten"]);
}
