//! `RunRecord`: what is in `run.json` and what comes back.

use std::fs;

use serde::Serialize;
use tamis_report::{FileRecord, Ordered, ReportError, RunRecord, StageTimer, peak_memory_bytes};

#[derive(Serialize)]
struct Parameters {
    budget: usize,
    damping: f64,
    rule: Option<&'static str>,
}

#[test]
fn a_record_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let pool = dir.path().join("pool.jsonl");
    fs::write(&pool, "{\"id\":1}\n").unwrap();
    let mut run = RunRecord::start("gdig", "1.2.3");
    run.set_parameters(&Parameters { budget: 10, damping: 0.1, rule: None }).unwrap();
    run.add_input(&pool).unwrap();
    run.seeds.set("projection", u64::MAX);
    // Not in alphabetical order: the order tells the story.
    run.counts.set("read", 5).set("rejected", 1).set("chosen", 2);
    let mut timer = StageTimer::start("score");
    timer.rows(5).resumed(true);
    run.stages.push(timer.finish());
    run.relaxations.push("share ≥ 0.9".to_owned());
    run.environment.versions.set("LibTorch", "2.11.0".to_owned());
    run.finish();

    let path = dir.path().join("run.json");
    run.write(&path).unwrap();
    let back = RunRecord::read(&path).unwrap();
    let json = |run: &RunRecord| serde_json::to_value(run).unwrap();
    assert_eq!(json(&back), json(&run));
    let again = dir.path().join("again.json");
    back.write(&again).unwrap();
    assert_eq!(fs::read(&path).unwrap(), fs::read(&again).unwrap());

    let names: Vec<&str> = back.counts.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["read", "rejected", "chosen"]);
    assert_eq!(back.seeds.get("projection"), Some(&u64::MAX));
    assert_eq!(back.parameters["rule"], serde_json::Value::Null);
    assert_eq!(back.inputs[0].bytes, 9);
    assert!(back.stages[0].resumed && back.stages[0].rows == Some(5));
    assert!(back.environment.cpus >= 1);
    // 2026-01-01T00:00:00Z has 20 characters.
    assert!(back.finished.len() == 20 && back.finished.ends_with('Z'), "{}", back.finished);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("{\n  \"program\": \"gdig\"") && text.ends_with("}\n"));
}

#[test]
fn non_finite_parameters_and_times_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = RunRecord::start("gdig", "1");
    let message = run
        .set_parameters(&Parameters { budget: 1, damping: f64::NAN, rule: None })
        .unwrap_err()
        .to_string();
    assert!(message.contains("`damping`") && message.contains("gdig"), "{message}");
    run.seconds = f64::INFINITY;
    let path = dir.path().join("run.json");
    let message = run.write(&path).unwrap_err().to_string();
    assert!(message.contains("run.json") && message.contains("`seconds`"), "{message}");
    assert!(!path.exists());
}

#[test]
fn a_damaged_record_is_an_error_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.json");
    fs::write(&path, "{\n \"program\": 3 }").unwrap();
    let error = RunRecord::read(&path).unwrap_err();
    assert!(matches!(error, ReportError::Decode { .. }));
    let message = error.to_string();
    assert!(message.contains("run.json") && message.contains("line 2"), "{message}");
    assert!(RunRecord::read(dir.path().join("none.json")).is_err());
}

#[test]
fn hashes_are_blake3_of_the_content() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    fs::write(&empty, "").unwrap();
    // Published: the hash of no input.
    assert_eq!(
        FileRecord::of(&empty).unwrap().blake3,
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    );
    let model = dir.path().join("model");
    fs::create_dir_all(model.join("sub")).unwrap();
    fs::write(model.join("config.json"), "{}").unwrap();
    fs::write(model.join("sub").join("weights"), "abc").unwrap();
    let whole = FileRecord::of(&model).unwrap();
    assert_eq!(whole.bytes, 5);
    // The same content elsewhere has the same hash; a moved file has not.
    let copy = dir.path().join("copy");
    fs::create_dir_all(copy.join("sub")).unwrap();
    fs::write(copy.join("sub").join("weights"), "abc").unwrap();
    fs::write(copy.join("config.json"), "{}").unwrap();
    assert_eq!(FileRecord::of(&copy).unwrap().blake3, whole.blake3);
    fs::rename(copy.join("sub").join("weights"), copy.join("weights")).unwrap();
    assert_ne!(FileRecord::of(&copy).unwrap().blake3, whole.blake3);
    let message = FileRecord::of(dir.path().join("gone")).unwrap_err().to_string();
    assert!(message.contains("gone"), "{message}");
}

#[test]
fn peak_memory_grows_with_use() {
    let Some(before) = peak_memory_bytes() else {
        assert_ne!(std::env::consts::OS, "linux");
        return;
    };
    let block = vec![1_u8; 64 << 20];
    let after = peak_memory_bytes().unwrap();
    assert!(after >= (64 << 20) && after >= before, "{before} {after}");
    assert_eq!(block.iter().map(|b| u64::from(*b)).sum::<u64>(), 64 << 20);
}

#[test]
fn ordered_maps_keep_their_order_and_the_last_value() {
    let map: Ordered<u64> = [("z", 1), ("a", 2), ("z", 3)].into_iter().collect();
    assert_eq!((map.len(), map.get("z"), map.get("q")), (2, Some(&3), None));
    let text = serde_json::to_string(&map).unwrap();
    assert_eq!(text, r#"{"z":3,"a":2}"#);
    assert_eq!(serde_json::from_str::<Ordered<u64>>(&text).unwrap(), map);
}
