//! What is refused before anything is done.

use std::fs;

use tamis_dataset::SampleId;
use tamis_diverse_evol::{EvolParams, Strategy};
use tamis_kcenter::Metric;

use crate::fakes::{World, contents};

fn says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "`{error}` does not say `{part}`");
    }
}

#[test]
fn another_run_in_the_same_folder() {
    let mut world = World::new();
    world.run("out");
    let bytes = contents(&world.out("out"));
    let params = world.params.clone();
    let mut refuse = |change: &dyn Fn(&mut World), parts: &[&str]| {
        change(&mut world);
        says(&world.refusal("out"), parts);
        assert!(contents(&world.out("out")) == bytes);
        world.params = params.clone();
        world.trainer.settings = 0;
        fs::write(world.base().join("weights"), "base").unwrap();
    };
    refuse(&|world| world.params.seed = 1, &["`settings.seed` is 0, expected 1"]);
    refuse(&|world| world.params.initial = 4, &["`settings.initial` is 3, expected 4"]);
    refuse(&|world| world.params.per_round = 1, &["`settings.per_round` is 2, expected 1"]);
    refuse(&|world| world.params.metric = Metric::Cosine, &["`settings.metric`", "cosine"]);
    refuse(&|world| world.params.strategy = Strategy::Random, &["`settings.strategy`", "random"]);
    refuse(&|world| world.trainer.settings = 2, &["`made_from.trainer.settings` is 0, expected 2"]);
    refuse(&|world| fs::write(world.base().join("weights"), "other").unwrap(), &["`model` is"]);
    world.run("out");
}

#[test]
fn another_pool() {
    let mut world = World::new();
    world.run("out");
    world.ids.rotate_left(1);
    says(&world.refusal("out"), &["`source.content` is"]);
    world.ids.pop();
    says(&world.refusal("out"), &["`source.rows` is 30, expected 29"]);
}

#[test]
fn settings_that_make_no_sense() {
    let parameter = |change: &dyn Fn(&mut EvolParams), parts: &[&str]| {
        let mut params = EvolParams::default();
        change(&mut params);
        says(&params.check().unwrap_err().to_string(), parts);
    };
    parameter(&|params| params.initial = 0, &["`initial` is 0", "at least 1"]);
    parameter(&|params| params.per_round = 0, &["`per_round` is 0"]);
    parameter(&|params| params.rounds = 0, &["`rounds` is 0"]);
    parameter(&|params| params.rounds = usize::MAX, &["`rounds` is"]);
    let read = serde_json::from_str::<EvolParams>(r#"{"strategy":"one-shot-k-center"}"#).unwrap();
    assert_eq!(read, EvolParams { strategy: Strategy::OneShotKCenter, ..EvolParams::default() });
    assert!(serde_json::from_str::<EvolParams>(r#"{"strategy":"kcenter"}"#).is_err());
    assert_eq!(read.check().unwrap().budget(), 1100);
}

#[test]
fn a_budget_beyond_the_pool() {
    let mut world = World::new();
    world.params.rounds = 14; // 3 + 28 of 30
    says(&world.refusal("out"), &["3 records and 14 rounds of 2 make 31", "has only 30"]);
    assert!(!world.out("out").exists() && world.trainer.asked.is_empty());
    // Exactly the pool is no problem.
    world.params = EvolParams { initial: 2, ..world.params };
    assert_eq!(world.run("out").rounds[14].size, 30);
}

#[test]
fn two_records_of_one_id() {
    let mut world = World::new();
    world.ids[7] = SampleId::from("r3");
    says(&world.refusal("out"), &["records 3 and 7", "`r3`"]);
}

#[test]
fn two_runs_do_not_share_a_folder() {
    let mut world = World::new();
    world.run("out");
    let file = fs::File::open(world.out("out/journal.jsonl")).unwrap();
    file.lock().unwrap();
    says(&world.refusal("out"), &["is being written by another process"]);
    file.unlock().unwrap();
    world.run("out");
}
