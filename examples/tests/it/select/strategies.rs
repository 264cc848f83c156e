//! What is chosen, and the figures of it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{ROWS, Select, distance, embedding, nearest, number, picked, rows, write};

const STRATEGIES: [&str; 5] = ["k-center", "facility-location", "qdit", "k-means", "random"];

/// Greedy k-center by a plain loop.
fn farthest_first(
    distance: fn(usize, usize) -> f64,
    mut chosen: Vec<usize>,
    budget: usize,
) -> Vec<(usize, Option<f64>)> {
    let nearest = |row: usize, chosen: &[usize]| {
        chosen.iter().map(|&other| distance(row, other)).fold(f64::INFINITY, f64::min)
    };
    let mut picks = Vec::new();
    for _ in 0..budget {
        let (mut best, mut far) = (0, -1.0);
        for row in (0..ROWS).filter(|row| !chosen.contains(row)) {
            if nearest(row, &chosen) > far {
                (best, far) = (row, nearest(row, &chosen));
            }
        }
        picks.push((best, far.is_finite().then_some(far)));
        chosen.push(best);
    }
    picks
}

#[test]
fn k_center_as_a_plain_loop_has_it() {
    let folder = tempfile::tempdir().unwrap();
    for (initial, flags) in [(vec![], [].as_slice()), (vec![3, 7, 15], &["--initial=3,7,15"])] {
        let run = Select::new(folder.path(), "out").with(flags).succeed();
        let expected = farthest_first(distance, initial.clone(), 10);
        let order: Vec<usize> = expected.iter().map(|pick| pick.0).collect();
        assert_eq!(picked(&run), order);
        let there: Vec<usize> = initial.iter().chain(&order).copied().collect();

        let (lines, rows) = (run.scores(), rows());
        assert_eq!(lines.len(), ROWS);
        for (n, line) in lines.iter().enumerate() {
            assert_eq!((&line["id"], &line["index"]), (&json!(format!("r{n}")), &json!(n)));
            assert!((number(&line["nearest"]) - nearest(n, &there)).abs() < 1e-5, "{line}");
            let place = order.iter().position(|&row| row == n);
            assert_eq!(line["order"], json!(place));
            assert_eq!(line["selected"], json!(place.is_some()));
            match place.and_then(|place| expected[place].1) {
                Some(radius) => assert!((number(&line["radius"]) - radius).abs() < 1e-5, "{line}"),
                None => assert_eq!(line["radius"], Value::Null),
            }
            let reason = match place {
                Some(0) if initial.is_empty() => "the first row, with nothing chosen before",
                Some(_) => "farthest from all chosen before",
                None if initial.contains(&n) => "initial",
                None => "not picked",
            };
            assert_eq!(line["reason"], reason);
        }
        // As they came, spaces and all; rows that were there already are not among them.
        let mut sorted = order.clone();
        sorted.sort_unstable();
        let chosen: Vec<String> = sorted.iter().map(|&n| rows[n].clone()).collect();
        assert_eq!(run.selected(), chosen);
        assert_eq!((run.count("selected"), run.count("initial")), (10, initial.len() as u64));
        assert!(run.printed.contains("10 of 60 rows chosen by k-center"), "{}", run.printed);
        let page = run.text("report.html");
        for text in [
            "Selection by embeddings",
            "Distance of each row to the nearest one chosen",
            "Distance over the picks",
            "Rows in two dimensions",
            "First picks",
            "<svg",
        ] {
            assert!(page.contains(text), "{text}");
        }
    }
}

#[test]
fn figures_of_the_choice_and_of_random_ones() {
    let folder = tempfile::tempdir().unwrap();
    let run = Select::new(folder.path(), "out").with(&["--initial=5"]).succeed();
    let mut there = picked(&run);
    there.push(5);
    let distances: Vec<f64> = (0..ROWS).map(|row| nearest(row, &there)).collect();
    let radius = distances.iter().copied().fold(0.0, f64::max);
    let mean = distances.iter().sum::<f64>() / ROWS as f64;
    let results = &run.run()["results"];
    let close = |found: &Value, expected: f64| {
        assert!((number(found) - expected).abs() < 1e-5, "{found} is not {expected}");
    };
    close(&results["choice"]["coverage_radius"], radius);
    close(&results["choice"]["mean_nearest"], mean);
    close(&results["choice"]["facility_value"], facility(&there));
    close(&results["choice"]["chosen"], 11.0);
    let vendi = number(&results["choice"]["vendi"]);
    assert!((1.0..=11.0).contains(&vendi), "{vendi}");
    let random = results["random"].as_array().unwrap();
    assert_eq!(random.len(), 3);
    for other in random {
        close(&other["chosen"], 11.0);
        // It is what k-center makes small.
        assert!(number(&other["coverage_radius"]) > radius);
    }
    let radii: BTreeSet<String> =
        random.iter().map(|other| other["coverage_radius"].to_string()).collect();
    assert!(radii.len() > 1, "the random choices are all the same");

    let alone = Select::new(folder.path(), "alone").with(&["--comparisons=0"]).succeed();
    assert_eq!(alone.run()["results"]["random"], json!([]));
}

fn cosine(a: usize, b: usize) -> f64 {
    let (a, b) = (embedding(a).map(f64::from), embedding(b).map(f64::from));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

/// Sum over the pool of the largest cosine with a chosen row, none below 0.
fn facility(chosen: &[usize]) -> f64 {
    let best = |row| chosen.iter().map(|&other| cosine(row, other)).fold(0.0, f64::max);
    (0..ROWS).map(best).sum()
}

#[test]
fn facility_location_by_a_plain_loop() {
    let folder = tempfile::tempdir().unwrap();
    let run = Select::new(folder.path(), "out").with(&["--strategy=facility-location"]).succeed();
    let mut chosen = Vec::new();
    for place in 0..10 {
        let own = picked(&run)[place];
        let value = |row: usize| {
            let with: Vec<usize> = chosen.iter().copied().chain([row]).collect();
            facility(&with)
        };
        let best = (0..ROWS).map(value).fold(0.0, f64::max);
        assert!(value(own) > best - 1e-9, "pick {place} is row {own}");
        chosen.push(own);
    }
    let value = number(&run.run()["results"]["choice"]["facility_value"]);
    assert!((value - facility(&chosen)).abs() < 1e-5);
    assert_eq!(run.scores()[chosen[0]]["radius"], Value::Null);
    for place in 0..10 {
        let gain = facility(&chosen[..=place]) - facility(&chosen[..place]);
        let found = number(&run.scores()[chosen[place]]["gain"]);
        assert!((found - gain).abs() < 1e-5, "pick {place} gains {found}, not {gain}");
    }
    assert!(run.text("report.html").contains("Gain over the picks"));
}

#[test]
fn qdit_between_coverage_and_quality() {
    let folder = tempfile::tempdir().unwrap();
    let quality: Vec<f64> = (0..ROWS).map(|n| ((n * 23) % 61) as f64 / 10.0 - 2.0).collect();
    let lines: Vec<String> = quality.iter().map(f64::to_string).collect();
    let plain = write(&folder.path().join("quality.txt"), &lines.join("\n"));
    // By id, in another order, under another name.
    let lines: Vec<String> = quality
        .iter()
        .enumerate()
        .rev()
        .map(|(n, q)| json!({ "id": format!("r{n}"), "ifd": q }).to_string())
        .collect();
    let named = write(&folder.path().join("quality.jsonl"), &lines.join("\n"));
    let plain = [format!("--quality={plain}")];
    let named = [format!("--quality={named}"), "--quality-field=ifd".to_owned()];
    let run = |flags: &[String], alpha: &str| {
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let select = Select::new(folder.path(), "out").with(&["--strategy=qdit", alpha]);
        select.with(&flags).succeed()
    };
    // The best ten, best first.
    let mut best: Vec<usize> = (0..ROWS).collect();
    best.sort_by(|&a, &b| quality[b].total_cmp(&quality[a]));
    let only = run(&plain, "--alpha=1");
    assert_eq!(picked(&only), best[..10]);
    assert_eq!(only.scores()[best[0]]["reason"], "best of coverage and quality, alpha 1");
    for (n, line) in only.scores().iter().enumerate() {
        assert!((number(&line["quality"]) - quality[n]).abs() < 1e-12);
    }
    let coverage =
        Select::new(folder.path(), "other").with(&["--strategy=facility-location"]).succeed();
    assert_eq!(picked(&run(&plain, "--alpha=0")), picked(&coverage));
    let between = run(&plain, "--alpha=0.6");
    assert_eq!(run(&named, "--alpha=0.6").result(), between.result());
    assert_ne!(picked(&between), picked(&coverage));
    assert_ne!(picked(&between), best[..10]);
    assert!(between.text("report.html").contains("quality: pool and selected"));
}

#[test]
fn every_strategy_is_repeated_and_keeps_to_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let qualities = vec!["1"; ROWS].join("\n");
    let quality = write(&folder.path().join("quality.txt"), &qualities);
    for strategy in STRATEGIES {
        let select = |out: &str, flags: &[&str]| {
            let mut select = Select::new(folder.path(), out)
                .with(&[&format!("--strategy={strategy}"), "--initial=1,2,40"]);
            if strategy == "qdit" {
                select = select.with(&[&format!("--quality={quality}")]);
            }
            select.with(flags).succeed()
        };
        let run = select("a", &[]);
        let chosen = picked(&run);
        let different: BTreeSet<usize> = chosen.iter().copied().collect();
        assert_eq!((chosen.len(), different.len()), (10, 10), "{strategy}");
        assert!([1, 2, 40].iter().all(|row| !different.contains(row)), "{strategy}");
        assert_eq!(run.scores()[40]["reason"], "initial");
        assert_eq!(run.selected().len(), 10);
        // Whatever the number of threads.
        assert_eq!(select("b", &["--threads=2"]).result(), run.result(), "{strategy}");
        let other = select("c", &["--seed=1"]);
        let same = picked(&other) == chosen;
        assert_eq!(same, !["k-means", "random"].contains(&strategy), "{strategy}");
        // All that is left.
        let all = select("d", &["--budget=57"]);
        assert_eq!(all.count("selected"), 57, "{strategy}");
        assert_eq!(all.run()["results"]["choice"]["coverage_radius"], 0.0);
    }
}

#[test]
fn k_means_draws_evenly() {
    let folder = tempfile::tempdir().unwrap();
    let select = |flags: &[&str]| {
        let select = Select::new(folder.path(), "out").with(&["--strategy=k-means"]);
        select.with(flags).succeed()
    };
    let run = select(&["--clusters=4", "--budget=8"]);
    let lines = run.scores();
    for cluster in 0..4 {
        let members: Vec<usize> = (0..ROWS).filter(|&n| lines[n]["cluster"] == cluster).collect();
        // The corners are the clusters.
        assert_eq!(members.len(), 15);
        assert!(members.iter().all(|n| distance(*n, members[0]) < 3.0));
        let drawn: Vec<&Value> =
            members.iter().map(|&n| &lines[n]).filter(|line| line["selected"] == true).collect();
        assert_eq!(drawn.len(), 2);
        assert_eq!(drawn[0]["reason"], format!("drawn from cluster {cluster}"));
    }
    let clusters = |run: &crate::program::Finished| {
        let all: BTreeSet<u64> =
            run.scores().iter().filter_map(|line| line["cluster"].as_u64()).collect();
        all.len()
    };
    // The whole root of 60.
    assert_eq!(clusters(&select(&[])), 7);
    let near = select(&["--clusters=4", "--budget=4", "--within=nearest"]);
    assert_eq!(picked(&near), picked(&select(&["--clusters=4", "--budget=4", "--within=nearest"])));
}

#[test]
fn directions_or_distances() {
    let folder = tempfile::tempdir().unwrap();
    // A folder each: results are read when they are asked for.
    let by = |metric: &str| {
        Select::new(folder.path(), metric)
            .with(&[metric, "--budget=40", "--comparisons=0"])
            .succeed()
    };
    let (straight, turned) = (by("--metric=euclidean"), by("--metric=cosine"));
    let order = |distance| -> Vec<usize> {
        farthest_first(distance, Vec::new(), 40).into_iter().map(|pick| pick.0).collect()
    };
    assert_eq!(picked(&straight), order(distance));
    assert_eq!(picked(&turned), order(|a, b| 1.0 - cosine(a, b)));
    assert_ne!(picked(&straight), picked(&turned));
    // One minus a cosine.
    assert!(turned.scores().iter().all(|line| (0.0..=2.0).contains(&number(&line["nearest"]))));
    let radii: Vec<f64> =
        straight.scores().iter().filter_map(|line| line["radius"].as_f64()).collect();
    assert!(radii.len() == 39 && radii.iter().any(|&radius| radius > 2.0), "{radii:?}");

    let facility = |similarity: &str| {
        let select = Select::new(folder.path(), "out").with(&["--strategy=facility-location"]);
        picked(&select.with(&[similarity]).succeed())
    };
    assert_ne!(facility("--similarity=cosine"), facility("--similarity=shifted-cosine"));
}
