//! Trainers that lie, viewers that fail, folders that were touched.

use std::fs;

use crate::fakes::{Fault, Lie, World, contents};

fn says(error: &str, parts: &[&str]) {
    for part in parts {
        assert!(error.contains(part), "`{error}` does not say `{part}`");
    }
}

#[test]
fn a_trainer_that_leaves_no_model() {
    let mut world = World::new();
    let calm = {
        let mut calm = World::new();
        calm.run("out");
        contents(&calm.out("out"))
    };
    for (lie, part) in [(Lie::NoFolder, "is not there"), (Lie::EmptyFolder, "has no file in it")] {
        world.trainer.lie = Some(lie);
        let error = world.refusal("out");
        says(&error, &["round 0", "model.unfinished", part, "has to write the trained model"]);
        assert!(!world.out("out/round-00/model").exists());
    }
    world.trainer.lie = Some(Lie::NotANumber);
    says(&world.refusal("out"), &["round 0", "`train_loss` is NaN"]);
    // Nothing is lost, and nothing of the lies is left.
    world.trainer.lie = None;
    world.run("out");
    assert!(contents(&world.out("out")) == calm);
}

#[test]
fn a_viewer_that_sees_something_else() {
    let mut world = World::new();
    for (fault, parts) in [
        (Fault::TooFew, ["gave 29 rows or numbers", "30 records"]),
        (Fault::WrongKind, ["asked for embeddings", "something else"]),
        (Fault::NotANumber(17), ["record `r17` (number 17", "its embedding holds NaN in column 1"]),
    ] {
        world.viewer.fault = Some(fault);
        says(&world.refusal("out"), &parts);
    }
    assert_eq!(world.trainer.finished, [0]);
    world.viewer.fault = None;
    world.run("out");
    assert_eq!(world.trainer.finished, [0, 1, 2, 3]);
}

#[test]
fn numbers_that_cannot_be_compared_are_named() {
    for strategy in ["entropy", "k-means"] {
        let mut world = World::new();
        world.params.strategy = strategy.parse().unwrap();
        world.viewer.fault = Some(Fault::NotANumber(29));
        says(&world.refusal("out"), &["record `r29` (number 29", "NaN"]);
    }
}

#[test]
fn a_model_that_is_needed_and_was_touched() {
    let mut world = World::new();
    // Round 0 is trained and measured; the look at the pool breaks off.
    world.limit(Some(5));
    says(&world.refusal("out"), &["looking at the pool", "round-00/model"]);
    world.limit(None);
    let weights = world.out("out/round-00/model/weights");
    let good = fs::read(&weights).unwrap();
    fs::write(&weights, "touched").unwrap();
    says(&world.refusal("out"), &["round-00/model", "training wrote", "model of round 0"]);
    fs::remove_dir_all(world.out("out/round-00/model")).unwrap();
    says(&world.refusal("out"), &["round-00/model is gone", "model of round 0"]);
    fs::create_dir(world.out("out/round-00/model")).unwrap();
    fs::write(&weights, good).unwrap();
    fs::write(world.out("out/round-00/model/config"), "a config").unwrap();
    world.run("out");
    assert_eq!(world.trainer.finished, [0, 1, 2, 3]);
    // What no round needs any more may go.
    fs::remove_dir_all(world.out("out/round-01/model")).unwrap();
    assert!(world.run("out").rounds[1].folder.is_none());
}

#[test]
fn a_damaged_journal() {
    let mut world = World::new();
    world.run("out");
    let path = world.out("out/journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen("\"radius\":", "\"radios\":", 5)).unwrap();
    says(&world.refusal("out"), &["journal.jsonl line", "does not match its checksum"]);
    // A torn last line is what a kill leaves behind.
    fs::write(&path, &text[..text.len() - 9]).unwrap();
    world.run("out");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
