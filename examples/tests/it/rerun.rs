//! Running again: the same bytes, nothing computed twice, and nothing mixed that does not belong
//! together.

use std::fs::{self, File};

use crate::pools;
use crate::program::{Gdig, contents, copy, finished};

const STAGES: [&str; 3] = ["adapt", "curvature", "gradients"];

#[test]
fn in_another_folder_the_bytes_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (pool, seeds) = pools::write_pairs(folder.path());
    let again = Gdig::new(&pool, &seeds, &folder.path().join("elsewhere")).succeed();
    assert_eq!(again.result(), finished().result());
    for stage in ["adaptation", "adapted", "factors", "basis", "gradients", "scores"] {
        let (left, right) =
            (contents(&again.out.join(stage)), contents(&finished().out.join(stage)));
        assert!(left == right, "{stage} differs");
    }
}

#[test]
fn in_the_same_folder_everything_is_found_done() {
    let (_folder, gdig) = copy();
    let again = gdig.succeed();
    for stage in STAGES {
        assert!(again.resumed(stage), "{stage}");
    }
    assert_eq!(again.result(), finished().result());
}

/// Another way of choosing from the same scores: what was computed stays as it was.
fn chooses_again(flags: &[(&str, &str)]) {
    let (_folder, gdig) = copy();
    let again = gdig.with_all(flags).succeed();
    for stage in STAGES {
        assert!(again.resumed(stage), "{flags:?}: {stage}");
    }
    for stage in ["adaptation", "adapted", "factors", "basis", "gradients", "scores"] {
        let (left, right) =
            (contents(&again.out.join(stage)), contents(&finished().out.join(stage)));
        assert_eq!(left, right, "{flags:?}: {stage}");
    }
    let means = |scores: Vec<serde_json::Value>| -> Vec<f64> {
        scores.iter().map(|line| line["mean"].as_f64().unwrap()).collect()
    };
    assert_eq!(means(again.scores()), means(finished().scores()), "{flags:?}");
    let budget = flags.iter().find(|(flag, _)| *flag == "budget").map_or("10", |(_, value)| value);
    assert_eq!(again.selected().len().to_string(), budget, "{flags:?}");
}

#[test]
fn another_rule_takes_the_stored_scores() {
    chooses_again(&[("rule", "top:20:mean"), ("clusters", "3"), ("within", "best-score")]);
    chooses_again(&[("rule", "normalised"), ("within", "nearest"), ("budget", "17")]);
    chooses_again(&[("rule", "mean"), ("headroom", "2")]);
}

#[test]
fn the_best_of_one_cluster_are_the_best_of_all() {
    let (_folder, gdig) = copy();
    let flags = [("rule", "top:30"), ("clusters", "1"), ("within", "best-score"), ("budget", "6")];
    let scores = gdig.with_all(&flags).succeed().scores();
    let score = |line: &serde_json::Value| line["mean_normalised"].as_f64().unwrap();
    let mut ranked: Vec<&serde_json::Value> = scores.iter().collect();
    ranked.sort_by(|a, b| score(b).total_cmp(&score(a)));
    for (place, line) in ranked.iter().enumerate() {
        assert_eq!(line["cluster"].is_null(), place >= 30, "{line}");
        assert_eq!(line["selected"], place < 6, "{line}");
    }
}

#[test]
fn new_seeds_take_the_stored_gradients() {
    let (folder, gdig) = copy();
    let stored = gdig.with("scores", "stored");
    let before = stored.succeed();
    let gradients = contents(&before.out.join("gradients"));
    let old = before.result();

    let seeds = [pools::line("n0", "sept", "seven"), pools::line("n1", "huit", "eight")];
    let seeds = pools::write(folder.path(), "new-seeds.jsonl", &seeds);
    let after = stored.path("seeds", &seeds).succeed();
    assert_ne!(after.result()[1], old[1]);
    assert!(after.resumed("gradients"));
    assert_eq!(contents(&after.out.join("gradients")), gradients);
    assert_eq!(after.selected().len(), 10);
}

/// Scores from whole gradients belong to a seed set and a curvature; each has its own.
#[test]
fn scores_of_other_seeds_or_curvature_stand_beside_the_first() {
    let (folder, gdig) = copy();
    let seeds = pools::write(folder.path(), "new-seeds.jsonl", &pools::seeds()[..2]);
    let mut seen = vec![finished().result()[1].clone()];
    for other in [
        gdig.clone().path("seeds", &seeds),
        gdig.clone().with("damping", "0.2"),
        gdig.clone().with("curvature", "identity"),
    ] {
        let run = other.succeed();
        assert!(run.resumed("adapt"));
        let scores = run.result()[1].clone();
        assert!(!seen.contains(&scores));
        seen.push(scores);
        for stage in ["factors", "basis", "gradients"] {
            let (left, right) =
                (contents(&run.out.join(stage)), contents(&finished().out.join(stage)));
            assert!(left == right, "{stage} was written again");
        }
    }
    let back = gdig.succeed();
    assert!(back.resumed("gradients"));
    assert_eq!(back.result(), finished().result());
}

/// Refused with the field's name, and without touching anything.
fn refuses(gdig: &Gdig, out: &std::path::Path, parts: &[&str]) {
    let before = contents(out);
    gdig.refuse(parts);
    // A lock file may appear; nothing else.
    let mut after = contents(out);
    after.retain(|path, _| before.contains_key(path) || !path.ends_with(".lock"));
    assert!(before == after, "{parts:?}: files changed");
}

#[test]
fn other_settings_in_the_same_folder_are_refused_by_name() {
    let (folder, gdig) = copy();
    let out = folder.path().join("out");
    for (flag, value, field) in [
        ("adapt-lr", "2e-3", "learning_rate"),
        ("adapt-epochs", "2", "epochs"),
        ("projection", "4x5", "projection"),
        ("row-type", "f32", "row_type"),
        ("loss", "sum", "reduction"),
        ("labels", "data", "labels"),
        ("curvature-samples", "20", "source.rows"),
        ("layers", "mlp", "layers"),
        ("max-length", "100", "max_length"),
        ("target-lang", "German", "target_language"),
        ("seed", "1", "seed"),
    ] {
        refuses(&gdig.clone().with(flag, value), &out, &[field, "out"]);
    }
}

#[test]
fn another_pool_in_the_same_folder_is_refused_by_name() {
    let (folder, gdig) = copy();
    let mut rows = pools::pairs();
    rows[7] = pools::line("p7", "le chat", "the cat");
    let pool = pools::write(folder.path(), "pool.jsonl", &rows);
    refuses(&gdig.path("pool", &pool), &folder.path().join("out"), &["`source.content`"]);
}

#[test]
fn an_adapted_model_is_not_taken_for_the_one_before() {
    let (folder, gdig) = copy();
    refuses(&gdig.switch("adapted"), &folder.path().join("out"), &["`model.weights`"]);
}

#[test]
fn a_folder_that_another_process_writes_is_left_alone() {
    let (folder, gdig) = copy();
    let out = folder.path().join("out");
    let lock = File::options().write(true).open(out.join("gradients/.lock")).unwrap();
    lock.try_lock().unwrap();
    refuses(&gdig, &out, &["out/gradients", "another process"]);
    drop(lock);
    assert_eq!(gdig.succeed().result(), finished().result());
}

#[test]
fn damaged_results_of_an_earlier_run_are_noticed() {
    for stage in ["gradients", "scores"] {
        let (folder, gdig) = copy();
        let out = folder.path().join("out");
        let shards = contents(&out.join(stage)).into_keys();
        let shard = shards.into_iter().find(|path| path.ends_with("rows-00000.safetensors"));
        let path = out.join(stage).join(shard.unwrap());
        let name = path.to_str().unwrap();
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let last = bad.len() - 1;
        bad[last] ^= 1;
        fs::write(&path, &bad).unwrap();
        gdig.refuse(&[name, "changed"]);
        fs::write(&path, &good[..last]).unwrap();
        gdig.refuse(&[name]);
        fs::remove_file(&path).unwrap();
        gdig.refuse(&[name, "missing"]);
        fs::write(&path, &good).unwrap();
        assert_eq!(gdig.succeed().result(), finished().result());
    }
    let (folder, gdig) = copy();
    let weights = folder.path().join("out/adapted/model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    // A weight's lowest bit.
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    fs::write(&weights, &bytes).unwrap();
    gdig.refuse(&["out/adapted", "adapt again"]);
    fs::write(&weights, &bytes[..last]).unwrap();
    gdig.refuse(&["adapted"]);
    fs::remove_file(&weights).unwrap();
    gdig.refuse(&["adapted", "gone"]);
}
