//! What lies in the folder of a run.

use std::fs;

use serde_json::{Value, json};
use tamis_diverse_evol::{EvolParams, Models, hash_folder};

use crate::fakes::World;

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_round_has_its_files() {
    let mut world = World::new();
    world.params.models = Models::Every;
    let grown = world.run("out");
    for round in &grown.rounds {
        let folder = world.out("out").join(format!("round-{:02}", round.round));
        let picks = lines(&folder.join("picks.jsonl"));
        assert_eq!(picks.len(), if round.round == 0 { 3 } else { 2 });
        for (line, pick) in picks.iter().zip(&round.picks) {
            assert_eq!(*line, json!(pick));
            assert_eq!(line["radius"].is_number(), round.round > 0);
        }
        let set: Vec<u64> = lines(&folder.join("selected.jsonl"))
            .iter()
            .map(|line| {
                assert_eq!(line["id"], format!("r{}", line["index"]));
                line["index"].as_u64().unwrap()
            })
            .collect();
        assert_eq!(set.len(), round.size);
        assert!(set.is_sorted());
        assert_eq!(set, grown.set(round.round).iter().map(|&n| n as u64).collect::<Vec<_>>());
        assert_eq!(round.dir, folder);
        let about: Value =
            serde_json::from_slice(&fs::read(folder.join("round.json")).unwrap()).unwrap();
        assert_eq!(about["size"], round.size);
        assert_eq!(about["radius_after"], json!(round.radius_after));
        assert_eq!(about["metrics"], json!(round.metrics));
        assert_eq!(about["blake3"], hash_folder(folder.join("model")).unwrap());
        assert_eq!(about["blake3"], json!(round.model));
        assert!((round.metrics["train_loss"] - 1.0 / round.size as f64).abs() < 1e-15);
        assert!(round.seconds.train > 0.0 && round.seconds.total() < 600.0);
    }
    // A round begins as far from the pool as the one before, seen with another model, has left it.
    assert_eq!(grown.rounds[1].radius_before, grown.rounds[1].picks[0].radius);
    assert!(grown.rounds[0].radius_after.is_none());
}

#[test]
fn old_models_and_views_go_if_they_are_not_to_be_kept() {
    let there = |keep_models: bool, keep_views: bool| {
        let mut world = World::new();
        let models = Models::Every;
        world.params = EvolParams { models, keep_models, keep_views, ..world.params };
        let grown = world.run("out");
        let with = |name: &str| -> Vec<usize> {
            let there = |round: &usize| world.out("out").join(format!("round-{round:02}/{name}"));
            (0..=4).filter(|round| there(round).exists()).collect()
        };
        let told: Vec<bool> = grown.rounds.iter().map(|round| round.folder.is_some()).collect();
        assert_eq!(told, (0..=4).map(|n| with("model").contains(&n)).collect::<Vec<_>>());
        (with("model"), with("view"))
    };
    assert_eq!(there(true, true), (vec![0, 1, 2, 3, 4], vec![0, 1, 2, 3]));
    assert_eq!(there(false, true), (vec![4], vec![0, 1, 2, 3]));
    assert_eq!(there(true, false), (vec![0, 1, 2, 3, 4], vec![]));
}

#[test]
fn a_folder_hash_sees_names_and_bytes_but_no_folders() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("a"), "1").unwrap();
    let first = hash_folder(at).unwrap();
    fs::create_dir(at.join("checkpoint-1")).unwrap();
    fs::write(at.join("checkpoint-1/a"), "2").unwrap();
    assert_eq!(hash_folder(at).unwrap(), first);
    fs::write(at.join("a"), "2").unwrap();
    let second = hash_folder(at).unwrap();
    fs::rename(at.join("a"), at.join("b")).unwrap();
    let third = hash_folder(at).unwrap();
    assert!(first != second && second != third && first != third);
}
