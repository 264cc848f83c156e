//! What goes wrong, and what is left then.

use std::fs;

use tamis::model::{LoadOptions, load};

use super::Finetune;
use crate::pools;

#[test]
fn a_learning_rate_that_diverges_says_where_and_keeps_the_last_good_checkpoint() {
    for rate in ["1e6", "1e30"] {
        let folder = tempfile::tempdir().unwrap();
        let run = Finetune::new(folder.path(), "out")
            .without("valid")
            .with("learning-rate", rate)
            .with("warmup-ratio", 0.2)
            .with("checkpoint-every", 1)
            .with("keep", 1);
        let said = run.refuse(&[
            "training diverged at step ",
            "(loss ",
            "lower the learning rate",
            "the last good checkpoint is ",
        ]);
        let [step] = run.checkpoints()[..] else { panic!("{:?}", run.checkpoints()) };
        assert!(said.contains(&format!("checkpoint-{step}")), "{said}");
        let kept = load(run.out.join(format!("checkpoint-{step}")), &LoadOptions::default());
        let finite = |tensor: &tch::Tensor| tensor.isfinite().all().int64_value(&[]) == 1;
        assert!(kept.unwrap().parameters().iter().all(|(_, tensor)| finite(tensor)));
        assert!(!run.out.join("model").exists() && !run.out.join("run.json").exists());
    }
}

#[test]
fn a_checkpoint_of_another_run_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = Finetune::new(folder.path(), "out").with("epochs", 1);
    run.succeed();
    let before = run.model();
    run.clone().with("learning-rate", "1e-3").refuse(&[
        "checkpoint-10 belongs to another run",
        "field `settings.training.learning_rate` is 0.003, expected 0.001",
    ]);
    run.clone().with("lora-rank", 4).refuse(&["field `settings.lora` is absent"]);
    // Another model: the one that this run made.
    let other = folder.path().join("other");
    fs::rename(run.out.join("model"), &other).unwrap();
    run.clone().with("model", other.display()).refuse(&["field `model.weights` is"]);
    // Other data.
    let rows = pools::pairs();
    let train = pools::write(folder.path(), "train2.jsonl", &rows[1..41]);
    run.clone().with("train", train.display()).refuse(&["field `source."]);
    assert_eq!(run.checkpoints(), [10]);
    run.succeed();
    assert!(run.model() == before);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = Finetune::new(folder.path(), "out").with("checkpoint-every", 10);
    run.succeed();
    let model = run.model();
    assert_eq!(run.checkpoints(), [10, 20]);
    fs::write(run.out.join("checkpoint-20/optimizer.safetensors"), "short").unwrap();
    let said = run.succeed();
    let passed = "passing over a checkpoint: ";
    assert!(
        said.contains(passed) && said.contains("checkpoint-20/optimizer.safetensors"),
        "{said}"
    );
    assert!(said.contains("going on from ") && said.contains("checkpoint-10"), "{said}");
    assert!(run.model() == model);
    for step in [10, 20] {
        fs::write(run.out.join(format!("checkpoint-{step}/optimizer.safetensors")), "").unwrap();
    }
    run.refuse(&["checkpoint-20/optimizer.safetensors is damaged", "0 bytes"]);
}

#[test]
fn bad_flags_and_data() {
    let folder = tempfile::tempdir().unwrap();
    let run = Finetune::new(folder.path(), "out");
    run.clone().with("learning-rate", -1.0).refuse(&["`learning_rate` is -1"]);
    run.clone().with("max-grad-norm", -1.0).refuse(&["`max_grad_norm` is -1"]);
    run.clone().with("dtype", "f16").refuse(&["load the model in bf16"]);
    run.clone().with("lora-rank", 0).refuse(&["`lora.rank` is 0"]);
    run.clone().with("lora-rank", 4).with("lora-target", "nothing").refuse(&["nothing"]);
    run.clone().with("lora-alpha", 4).refuse(&["--lora-rank"]);
    run.clone().without("valid").with("patience", 2).refuse(&["--valid"]);
    run.clone().with("checkpoint-every", "soon").refuse(&["no distance between checkpoints"]);
    run.clone().with("keep", 0).refuse(&["`checkpoints.keep` is 0"]);
    let empty = pools::write::<&str>(folder.path(), "empty.jsonl", &[]);
    run.clone().with("train", empty.display()).refuse(&["empty.jsonl"]);
    let hollow = [pools::line("a", "le chat", "")];
    let hollow = pools::write(folder.path(), "hollow.jsonl", &hollow);
    run.clone().with("valid", hollow.display()).refuse(&["hollow.jsonl"]);
    run.clone().with("out", folder.path().join("train.jsonl").display()).refuse(&["train.jsonl"]);
    assert!(run.checkpoints_if_any().is_empty());
}

impl Finetune {
    fn checkpoints_if_any(&self) -> Vec<usize> {
        if self.out.exists() { self.checkpoints() } else { Vec::new() }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_old_checkpoint_and_more_room_lets_the_run_go_on() {
    use crate::disk::full::SmallDisk;

    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("disk");
    fs::create_dir(&at).unwrap();
    let Some(disk) = SmallDisk::mount(&at) else {
        println!("skipped: mounting a tmpfs needs root");
        return;
    };
    let change = |run: Finetune| run.with("checkpoint-every", 3).with("keep", 1);
    let calm = change(Finetune::new(folder.path(), "calm"));
    calm.succeed();
    let size: u64 = fs::read_dir(calm.out.join("checkpoint-20"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len().next_multiple_of(4096))
        .sum();
    let run = change(Finetune::new(folder.path(), "disk/out"));
    // Room for one checkpoint and a half: the second does not fit beside the first.
    disk.resize(&format!("{}", size * 3 / 2));
    run.refuse(&["No space left on device", "checkpoint-6"]);
    assert_eq!(run.checkpoints(), [3]);
    disk.resize("16m");
    let said = run.succeed();
    assert!(said.contains("checkpoint-3"), "{said}");
    assert!(run.model() == calm.model());
    assert_eq!(run.timeless(), calm.timeless());
}
