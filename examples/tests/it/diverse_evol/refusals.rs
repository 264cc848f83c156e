//! What is refused, and what a run can go on with.

use std::fs;

use super::{Evol, lines, timeless};
use crate::pools;

#[test]
fn what_makes_no_sense() {
    let folder = tempfile::tempdir().unwrap();
    let evol = || Evol::new(folder.path(), "out");
    evol().with("rounds", 13).refuse(&["make 43", "has only 40"]);
    evol().with("initial", 0).refuse(&["`initial` is 0"]);
    evol().with("per-round", 0).refuse(&["`per_round` is 0"]);
    evol().with("strategy", "farthest").refuse(&["`farthest`", "one-shot-k-center"]);
    evol().with("metric", "manhattan").refuse(&["`manhattan`", "euclidean, cosine"]);
    evol().with("lr", "-1").refuse(&["`learning_rate` is -1"]);
    evol().with("lora-rank", 4).with("lora-target", "nothing").refuse(&["nothing"]);
    evol().with("shard-rows", 0).refuse(&["shard_rows"]);
    evol().with("max-length", 12).refuse(&["no row of the pool can be used"]);
    evol().with("eval-data", folder.path().join("none.jsonl").display()).refuse(&["none.jsonl"]);
    let twice = pools::pairs().into_iter().chain(pools::pairs()).collect::<Vec<_>>();
    let twice = pools::write(folder.path(), "twice.jsonl", &twice);
    evol().with("pool", twice.display()).refuse(&["p0"]);
    let inside = folder.path().join("out/base");
    fs::create_dir_all(&inside).unwrap();
    for file in fs::read_dir(crate::program::model()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), inside.join(file.file_name())).unwrap();
    }
    evol().with("model", inside.display()).refuse(&["lies in --out"]);
}

#[test]
fn another_run_in_the_same_folder_is_refused_and_more_rounds_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let evol = || Evol::new(folder.path(), "out").with("rounds", 1);
    let first = evol().succeed();
    let result = first.result();
    evol().with("seed", 1).refuse(&["`settings.seed` is 0, expected 1"]);
    evol().with("strategy", "random").refuse(&["`settings.strategy` is \"k-center\""]);
    evol().with("initial", 5).refuse(&["`settings.initial` is 4, expected 5"]);
    evol().with("lr", "1e-3").refuse(&["`made_from.trainer.train.learning_rate` is 0.003"]);
    evol().without("eval-data").refuse(&["`made_from.viewer.held_out` is"]);
    evol().with("template", "none").refuse(&["encoder"]);
    let rows = pools::pairs();
    let other = pools::write(folder.path(), "other.jsonl", &rows[1..41]);
    evol().with("pool", other.display()).refuse(&["`source"]);
    let changed = folder.path().join("changed");
    crate::program::copy_folder(&crate::program::model(), &changed);
    let config = fs::read_to_string(changed.join("config.json")).unwrap();
    fs::write(changed.join("config.json"), config.replacen('{', "{\"note\": 1,", 1)).unwrap();
    evol().with("model", changed.display()).refuse(&["`model` is"]);
    assert_eq!(evol().succeed().result(), result);

    let grown = evol().with("rounds", 3).succeed();
    let long = Evol::new(folder.path(), "long").succeed();
    assert!(timeless(&grown) == timeless(&long));
    assert_eq!(lines(&grown.out.join("rounds.jsonl")).len(), 4);
}
