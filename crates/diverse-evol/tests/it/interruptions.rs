//! Interrupted anywhere, a run goes on and ends with the same bytes.

use std::fs;

use serde::Deserialize;
use serde_json::Value;
use tamis_artifact::{Progress, Stage};
use tamis_diverse_evol::{EvolParams, Metrics, Models, RoundStage, Strategy};

use crate::fakes::{World, contents};

fn world(strategy: Strategy, keep: bool) -> World {
    let mut world = World::new();
    world.params = EvolParams {
        strategy,
        models: Models::Every,
        keep_models: keep,
        keep_views: keep,
        ..world.params
    };
    world
}

#[test]
fn broken_off_after_every_single_thing_it_ends_with_the_same_bytes() {
    for strategy in [Strategy::KCenter, Strategy::Entropy, Strategy::OneShotKCenter] {
        for keep in [true, false] {
            let mut calm = world(strategy, keep);
            let expected = calm.run("out");
            let bytes = contents(&calm.out("out"));
            // Three steps a training, the model, a measurement, a look of two things (and of one, the
            // first, if it is broken off): each time it comes two things further, or three.
            let mut stormy = world(strategy, keep);
            let mut broken = 0;
            let found = loop {
                stormy.limit(Some(2 + broken % 2));
                match stormy.try_run("out") {
                    Ok(found) => break found,
                    Err(error) => {
                        assert!(error.to_string().contains("the fuse is burnt"), "{error}");
                    }
                }
                broken += 1;
                assert!(broken < 200);
            };
            assert!(broken >= 10, "{broken}");
            assert_eq!(found.picks().collect::<Vec<_>>(), expected.picks().collect::<Vec<_>>());
            assert!(contents(&stormy.out("out")) == bytes, "{strategy}");
            // Nothing was done twice: three steps for each of five models.
            assert_eq!(stormy.trainer.steps, 15);
            assert_eq!(stormy.trainer.finished, [0, 1, 2, 3, 4]);
            assert_eq!(stormy.viewer.measured.len(), 5);
        }
    }
}

#[test]
fn a_finished_run_does_nothing_again() {
    let mut world = world(Strategy::KCenter, true);
    let first = world.run("out");
    let bytes = contents(&world.out("out"));
    world.limit(Some(0));
    let again = world.run("out");
    assert_eq!(again.picks().collect::<Vec<_>>(), first.picks().collect::<Vec<_>>());
    assert!(contents(&world.out("out")) == bytes);
    // Files that are only there to be looked at come back.
    fs::remove_file(world.out("out/round-02/picks.jsonl")).unwrap();
    fs::write(world.out("out/round-03/selected.jsonl"), "overwritten").unwrap();
    fs::remove_file(world.out("out/times.jsonl")).unwrap();
    world.run("out");
    assert!(contents(&world.out("out")) == bytes);
}

#[test]
fn an_observer_is_told_each_stage_once() {
    #[derive(Default)]
    struct Notes(Vec<String>);
    impl Progress for Notes {
        fn start(&mut self, _: &Stage<'_>) {}
        fn advance(&mut self, _: u64) {}
        fn record(&mut self, kind: &str, record: &Value) {
            let round = &record["round"];
            let stage = || RoundStage::deserialize(&record["stage"]).unwrap();
            self.0.push(match kind {
                "begun" => format!("{round} {:?} {}", stage(), record["records"]),
                "done before" => format!("{round} {:?} before", stage()),
                "measured" => {
                    let metrics = Metrics::deserialize(&record["metrics"]).unwrap();
                    let names: Vec<&str> = metrics.keys().map(String::as_str).collect();
                    format!("{round} {}", names.join(" "))
                }
                other => panic!("a record of {other}"),
            });
        }
    }
    let mut world = world(Strategy::KCenter, true);
    world.params.rounds = 1;
    let evol = world.params.clone().check().unwrap();
    let (base, out) = (world.base(), world.out("out"));
    let rows = world.rows();
    let mut told = || {
        let mut notes = Notes::default();
        evol.run(&rows, &base, &out, &mut world.trainer, &mut world.viewer, &mut notes).unwrap();
        notes.0
    };
    let metrics = "held_out_loss train_loss";
    let calm = ["0 Pick 0", "0 Train 3", "0 Measure 3", &format!("0 {metrics}")].map(str::to_owned);
    let next = ["1 View 3", "1 Pick 3", "1 Train 5", "1 Measure 5", &format!("1 {metrics}")];
    assert_eq!(told(), calm.into_iter().chain(next.map(str::to_owned)).collect::<Vec<_>>());
    let before = ["0 Pick", "0 Train", "0 Measure", "1 Pick", "1 Train", "1 Measure"];
    assert_eq!(told(), before.map(|stage| format!("{stage} before")));
}

#[test]
fn a_model_that_the_journal_knows_but_was_not_moved_is_moved() {
    let mut calm = world(Strategy::KCenter, true);
    calm.run("out");
    let bytes = contents(&calm.out("out"));
    let mut stormy = world(Strategy::KCenter, true);
    // Three steps, the model: round 0 is trained, and the measurement breaks off.
    stormy.limit(Some(4));
    stormy.try_run("out").unwrap_err();
    let round = stormy.out("out/round-00");
    fs::rename(round.join("model"), round.join("model.unfinished")).unwrap();
    stormy.limit(None);
    stormy.run("out");
    assert!(contents(&stormy.out("out")) == bytes);
    assert_eq!(stormy.trainer.finished, [0, 1, 2, 3, 4]);
}

#[test]
fn half_a_model_is_removed_and_made_again() {
    let mut world = world(Strategy::KCenter, true);
    // The fourth thing is the weights: the folder and a file in it are there before.
    world.limit(Some(3));
    world.try_run("out").unwrap_err();
    assert!(world.out("out/round-00/model.unfinished/config").is_file());
    assert!(!world.out("out/round-00/model").exists());
    world.limit(None);
    world.run("out"); // the trainer asserts that its folder does not exist
    assert_eq!(world.trainer.steps, 15);
    assert!(!world.out("out/round-00/model.unfinished").exists());
    assert!(!world.out("out/round-00/training").exists());
}

#[test]
fn more_rounds_go_on_and_fewer_look_back() {
    for keep in [true, false] {
        let mut long = world(Strategy::KCenter, keep);
        let expected = long.run("out");
        let bytes = contents(&long.out("out"));
        let mut grown = world(Strategy::KCenter, keep);
        grown.params.rounds = 2;
        grown.run("out");
        grown.params.rounds = 4;
        let found = grown.run("out");
        assert_eq!(found.picks().collect::<Vec<_>>(), expected.picks().collect::<Vec<_>>());
        assert!(contents(&grown.out("out")) == bytes);
        assert_eq!(grown.trainer.finished, [0, 1, 2, 3, 4]);
        grown.params.rounds = 1;
        let back = grown.run("out");
        assert_eq!(back.rounds.len(), 2);
        assert_eq!(back.rounds[1].picks, expected.rounds[1].picks);
        assert_eq!(grown.trainer.finished, [0, 1, 2, 3, 4]);
    }
}
