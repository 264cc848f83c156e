//! What a run leaves behind.

use std::fs;

use tamis::finetune::Lora;
use tamis::model::{LoadOptions, load};

use super::Finetune;
use crate::program;

#[test]
fn a_run_leaves_a_model_metrics_a_record_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let run = Finetune::new(folder.path(), "out").with("eval-every", 5);
    let said = run.succeed();
    assert!(said.contains("20 steps") && said.contains("held-out loss: "), "{said}");

    // 40 rows in steps of 4, two epochs.
    let metrics = run.metrics();
    let steps: Vec<u64> = metrics
        .iter()
        .filter(|line| line.get("loss").is_some())
        .map(|line| line["step"].as_u64().unwrap())
        .collect();
    assert_eq!(steps, (1..=20).collect::<Vec<_>>());
    let of = |field: &str| -> Vec<f64> {
        metrics.iter().filter_map(|line| line.get(field)?.as_f64()).collect()
    };
    assert_eq!((of("eval_loss").len(), of("grad_norm").len()), (5, 20));
    assert!(of("eval_loss")[4] < 0.8 * of("eval_loss")[0], "{:?}", of("eval_loss"));

    let record = run.json("run.json");
    assert_eq!(record["program"], "finetune");
    assert_eq!(
        (record["counts"]["steps"].as_u64(), record["counts"]["train_used"].as_u64()),
        (Some(20), Some(40))
    );
    assert_eq!(record["parameters"]["learning_rate"].as_f64(), Some(3e-3));
    let page = String::from_utf8(run.file("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("held out"));

    // The folder is a model with everything that belongs to it.
    let trained = load(run.out.join("model"), &LoadOptions::default()).unwrap();
    let start = load(program::model(), &LoadOptions::default()).unwrap();
    assert_ne!(
        trained.parameters().fingerprint().unwrap(),
        start.parameters().fingerprint().unwrap()
    );
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        assert!(run.out.join("model").join(name).is_file(), "{name}");
    }
}

#[test]
fn an_adapter_is_written_for_peft_or_merged() {
    let folder = tempfile::tempdir().unwrap();
    let lora = |out: &str| {
        Finetune::new(folder.path(), out)
            .with("lora-rank", 4)
            .with("lora-alpha", 8)
            .with("lora-dropout", 0.1)
            .with("lora-target", "q_proj|v_proj")
            .with("learning-rate", "2e-2")
    };
    let (adapter, merged) = (lora("adapter"), lora("merged").switch("merge"));
    let said = adapter.succeed();
    assert!(said.contains("adapter weights of rank 4 on 4 layers"), "{said}");
    merged.succeed();
    let names: Vec<_> = adapter.model().into_keys().map(|p| p.display().to_string()).collect();
    assert_eq!(names, ["adapter_config.json", "adapter_model.safetensors"]);

    let mut model = load(program::model(), &LoadOptions::default()).unwrap();
    let found = Lora::load(adapter.out.join("model"), model.as_ref()).unwrap();
    assert_eq!((found.params().rank, found.layers().count()), (4, 4));
    found.merge(model.as_mut()).unwrap();
    let whole = load(merged.out.join("model"), &LoadOptions::default()).unwrap();
    assert_eq!(
        model.parameters().fingerprint().unwrap(),
        whole.parameters().fingerprint().unwrap()
    );

    // The other kind in the same folder: nothing of the first is left beside it.
    let there = |name: &str| adapter.out.join("model").join(name).exists();
    lora("adapter").switch("merge").succeed();
    assert!(there("model.safetensors") && !there("adapter_config.json"));
    assert!(!there("adapter_model.safetensors"));
    lora("adapter").succeed();
    assert!(there("adapter_config.json") && !there("model.safetensors"));
}

#[test]
fn a_finished_run_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = Finetune::new(folder.path(), "out");
    run.succeed();
    let (model, metrics) = (run.model(), run.file("metrics.jsonl"));
    fs::remove_dir_all(run.out.join("model")).unwrap();
    let said = run.succeed();
    assert!(said.contains("going on from ") && said.contains("checkpoint-20"), "{said}");
    assert!(run.model() == model && run.file("metrics.jsonl") == metrics);
    assert_eq!(run.json("run.json")["stages"][0]["resumed"], true);
}

#[test]
fn training_in_bf16_with_activation_checkpointing() {
    let folder = tempfile::tempdir().unwrap();
    let run = Finetune::new(folder.path(), "out")
        .with("dtype", "bf16")
        .switch("activation-checkpointing");
    run.succeed();
    let losses: Vec<f64> =
        run.metrics().iter().filter_map(|line| line.get("eval_loss")?.as_f64()).collect();
    assert!(losses[2] < 0.8 * losses[0], "{losses:?}");
    let config = run.json("model/config.json");
    let kind = config.get("dtype").or_else(|| config.get("torch_dtype")).unwrap();
    assert_eq!(kind, "bfloat16");
}

#[test]
fn the_best_weights_or_the_last() {
    let folder = tempfile::tempdir().unwrap();
    // Far too fast at the end: the best evaluation is an early one.
    let run = |out: &str, weights: &str| {
        let run = Finetune::new(folder.path(), out)
            .with("epochs", 12)
            .with("learning-rate", "3e-2")
            .with("schedule", "constant")
            .with("eval-every", 5)
            .with("patience", 4)
            .with("weights", weights);
        run.succeed();
        run
    };
    let (best, last) = (run("best", "best"), run("last", "last"));
    assert_eq!(best.timeless(), last.timeless());
    let evaluations: Vec<(u64, f64)> = best
        .metrics()
        .iter()
        .filter_map(|line| Some((line["step"].as_u64()?, line.get("eval_loss")?.as_f64()?)))
        .collect();
    let lowest = evaluations.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    assert_ne!(Some(lowest), evaluations.last());
    assert!(best.model() != last.model());
    let kept = fs::read(best.out.join(format!("checkpoint-{}/model.safetensors", lowest.0)));
    assert!(kept.unwrap() == best.file("model/model.safetensors"));
}
