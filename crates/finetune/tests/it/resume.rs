//! Checkpoints: a run that was interrupted ends like one that was not.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_dataset::{Encoded, Encodings};
use tamis_finetune::{
    EvalParams, Every, FinetuneError, Job, LoraParams, MetricsFile, TrainParams, TrainReport,
};
use tamis_model::{DType, LoadOptions, load};
use tch::Tensor;

use crate::common::{data, llama, settings};
use crate::run::{Run, interrupted, steps_in};

/// Everything of a report that must not depend on interruptions.
fn essence(mut report: TrainReport) -> Value {
    report.resumed = None;
    report.seconds = 0.0;
    report.epochs.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
    report.evaluations.iter_mut().for_each(|evaluation| evaluation.seconds = 0.0);
    serde_json::to_value(report).unwrap()
}

fn assert_resumes(run: &Run) {
    let (calm, expected) = run.go(None, &data(), &mut NoProgress).unwrap();
    for step in 1..=calm.steps {
        let dir = tempfile::tempdir().unwrap();
        run.die_at(dir.path(), step);
        let newest = steps_in(dir.path()).last().copied();
        assert!(newest.is_none_or(|newest| newest < step));
        let (report, found) = run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
        assert_eq!(report.resumed, newest, "killed at {step}");
        assert_eq!(found, expected, "killed at {step}");
        assert_eq!(essence(report), essence(calm.clone()), "killed at {step}");
    }
}

#[test]
fn full_training_killed_at_any_step_ends_with_the_same_bytes() {
    assert_resumes(&Run::new());
}

#[test]
fn an_adapter_with_dropout_too() {
    let lora = LoraParams { rank: 4, dropout: 0.3, ..LoraParams::default() };
    assert_resumes(&Run { lora: Some(lora), ..Run::new() });
}

#[test]
fn a_model_in_bf16_too() {
    assert_resumes(&Run { kind: DType::Bf16, ..Run::new() });
}

#[test]
fn a_run_that_stops_early_with_its_best_weights_too() {
    let how = EvalParams { every: Some(2), patience: Some(3), ..EvalParams::default() };
    let params = TrainParams { epochs: 6, learning_rate: 1e-2, ..settings() };
    let run = Run { params, validation: Some(how), keep: 1, ..Run::new() };
    let (report, _) = run.go(None, &data(), &mut NoProgress).unwrap();
    assert!(report.stopped_early && report.restored.is_some(), "{report:?}");
    assert_resumes(&run);
}

#[test]
fn activation_checkpointing_too() {
    let params = TrainParams { activation_checkpointing: true, ..settings() };
    assert_resumes(&Run { params, ..Run::new() });
}

#[test]
fn being_killed_again_and_again_changes_nothing() {
    let run = Run { every: Every::Steps(1), keep: 1, ..Run::new() };
    let (_, expected) = run.go(None, &data(), &mut NoProgress).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for step in 2..=10 {
        run.die_at(dir.path(), step);
    }
    let (report, found) = run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    assert_eq!((report.resumed, found), (Some(9), expected.clone()));
    // Once it is done, it stays done.
    let (report, found) = run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    assert_eq!((report.resumed, report.steps, found), (Some(10), 10, expected));
}

#[test]
fn the_newest_and_the_best_are_kept() {
    let run = Run { every: Every::Steps(2), keep: 2, ..Run::new() };
    let dir = tempfile::tempdir().unwrap();
    run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    assert_eq!(steps_in(dir.path()), [8, 10]);

    let how = EvalParams { every: Some(5), ..EvalParams::default() };
    let params = TrainParams { epochs: 6, learning_rate: 1e-2, ..settings() };
    let run = Run { params, validation: Some(how), every: Every::Steps(7), keep: 1, ..Run::new() };
    let dir = tempfile::tempdir().unwrap();
    let (report, _) = run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    let best = report.restored.unwrap();
    assert!(best > 0, "{report:?}");
    assert_eq!(steps_in(dir.path()), [best, 18]);

    let run = Run { at_end: false, every: Every::Seconds(3600), ..Run::new() };
    let dir = tempfile::tempdir().unwrap();
    run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    assert!(steps_in(dir.path()).is_empty());
}

#[test]
fn a_checkpoint_is_a_model_folder_with_named_moments_and_a_position() {
    let run = Run { every: Every::Steps(7), at_end: false, ..Run::new() };
    let dir = tempfile::tempdir().unwrap();
    run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    let place = dir.path().join("checkpoint-7");
    let model = load(&place, &LoadOptions::default()).unwrap();
    let mut names: Vec<String> = model
        .parameters()
        .iter()
        .flat_map(|(name, _)| [format!("{name}.first"), format!("{name}.second")])
        .collect();
    names.sort();
    let stored = Tensor::read_safetensors(place.join("optimizer.safetensors")).unwrap();
    let mut found: Vec<String> = stored.iter().map(|(name, _)| name.clone()).collect();
    found.sort();
    assert_eq!(found, names);
    let text = fs::read(place.join("trainer.json")).unwrap();
    let state: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(state["progress"]["step"], 7);
    // Two steps of four samples into the second epoch.
    assert_eq!(state["progress"]["current"]["samples"], 8);
    assert_eq!(state["progress"]["losses"].as_array().unwrap().len(), 7);
    assert_eq!(state["run"]["settings"]["training"]["schedule"], "linear");

    let bf16 = Run { kind: DType::Bf16, ..run.clone() };
    let dir = tempfile::tempdir().unwrap();
    bf16.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    let stored = dir.path().join("checkpoint-7/optimizer.safetensors");
    let stored = Tensor::read_safetensors(stored).unwrap();
    let masters = stored.iter().filter(|(name, _)| name.ends_with(".master"));
    assert!(masters.clone().all(|(_, tensor)| tensor.kind() == tch::Kind::Float));
    assert_eq!((masters.count(), stored.len()), (20, 60));
}

#[test]
fn a_checkpoint_of_another_run_is_refused_field_by_field() {
    let (dir, run) = interrupted();
    let refused = |run: &Run, data: &[Encoded]| {
        let error = run.go(Some(dir.path()), data, &mut NoProgress).unwrap_err();
        assert!(matches!(error, FinetuneError::OtherRun { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("checkpoint-6"), "{message}");
        message
    };
    let (mut tokens, mut names, mut fewer) = (data(), data(), data());
    tokens[3].ids[2] += 1;
    names[3].id = "another".into();
    fewer.pop();
    let rate = TrainParams { learning_rate: 1e-3, ..settings() };
    let table: [(&str, Run, &[Encoded], &str); 8] = [
        (
            "rate",
            Run { params: rate, ..run.clone() },
            &data(),
            "field `settings.training.learning_rate` is 0.005, expected 0.001",
        ),
        ("tokens", run.clone(), &tokens, "field `source.tokens` is"),
        ("ids", run.clone(), &names, "field `source.tokens` is"),
        ("rows", run.clone(), &fewer, "field `source.rows` is 18, expected 17"),
        (
            "adapter",
            Run { lora: Some(LoraParams::default()), ..run.clone() },
            &data(),
            "field `settings.lora` is absent",
        ),
        ("numbers", Run { kind: DType::Bf16, ..run.clone() }, &data(), "field `model.weights` is"),
        (
            "evaluation",
            Run { validation: Some(EvalParams::default()), ..run.clone() },
            &data(),
            "field `settings.evaluation` is absent",
        ),
        (
            "held out",
            Run { validation: Some(EvalParams::default()), ..run.clone() },
            &data(),
            "field `made_from` is absent",
        ),
    ];
    for (what, run, data, expected) in table {
        let message = refused(&run, data);
        assert!(message.contains(expected), "{what}: {message}");
    }
    assert_eq!(steps_in(dir.path()), [3, 6], "nothing was touched");

    // The weights of the model it starts from.
    let mut model = llama(DType::F32);
    let _ = model.parameters().get("model.norm.weight").unwrap().shallow_clone().fill_(1.0);
    let mut checkpoints = run.checkpoints(dir.path()).unwrap();
    let data = data();
    let rows = Encodings::of(&data);
    let job = Job { checkpoints: Some(&mut checkpoints), ..Job::new(model.as_mut(), &rows) };
    let error = run.params.check().unwrap().run(job, &mut NoProgress).unwrap_err();
    assert!(error.to_string().contains("field `model.weights` is"), "{error}");
}

#[test]
fn what_an_interrupted_write_left_is_removed_and_other_files_are_not() {
    let (dir, run) = interrupted();
    let (torn, mine) = (dir.path().join(".checkpoint-9.tmp"), dir.path().join("thesis"));
    for folder in [&torn, &mine] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("model.safetensors"), "half").unwrap();
    }
    run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
    assert!(!torn.exists() && mine.join("model.safetensors").exists());
}

#[test]
fn one_run_at_a_time_uses_a_folder() {
    let (dir, run) = interrupted();
    let held = run.checkpoints(dir.path()).unwrap();
    let error = run.checkpoints(dir.path()).unwrap_err();
    assert!(matches!(error, FinetuneError::Locked { .. }), "{error}");
    drop(held);
    run.checkpoints(dir.path()).unwrap();
}

#[test]
fn divergence_keeps_the_last_good_checkpoint_and_no_bad_one() {
    let params = TrainParams { learning_rate: 1e6, warmup_ratio: 0.2, ..settings() };
    let run = Run { params, every: Every::Steps(1), keep: 1, ..Run::new() };
    let dir = tempfile::tempdir().unwrap();
    let error = run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap_err();
    let FinetuneError::Diverged { step, ref checkpoint, .. } = error else {
        panic!("expected divergence, got {error}")
    };
    // The warm-up's first step has rate 0; the second spoils the weights; the third shows it.
    let good = dir.path().join("checkpoint-1");
    assert_eq!((step, checkpoint.as_ref(), steps_in(dir.path())), (3, Some(&good), vec![1]));
    assert!(error.to_string().contains("the last good checkpoint is "), "{error}");
    let kept = load(&good, &LoadOptions::default()).unwrap();
    assert_eq!(
        kept.parameters().fingerprint().unwrap(),
        llama(DType::F32).parameters().fingerprint().unwrap()
    );
}

/// Writes metrics, and dies after a step.
struct DiesWriting(MetricsFile, usize);

impl Progress for DiesWriting {
    fn start(&mut self, _: &Stage<'_>) {}
    fn advance(&mut self, _: u64) {}
    fn record(&mut self, kind: &str, record: &Value) {
        self.0.record(kind, record);
        assert!(kind != "step" || record["step"].as_u64() < Some(self.1 as u64), "killed");
    }
}

#[test]
fn metrics_of_an_interrupted_run_have_every_line_once() {
    let how = EvalParams { every: Some(2), ..EvalParams::default() };
    let run = Run { validation: Some(how), ..Run::new() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("metrics.jsonl");
    for step in [2, 4, 5] {
        let mut dies = DiesWriting(MetricsFile::new(&path), step);
        let killed = catch_unwind(AssertUnwindSafe(|| {
            drop(run.go(Some(dir.path()), &data(), &mut dies));
        }));
        assert!(killed.is_err());
        // A kill may tear a line.
        let mut text = fs::read(&path).unwrap();
        text.extend(br#"{"step":1,"lo"#);
        fs::write(&path, text).unwrap();
    }
    let mut metrics = MetricsFile::new(&path);
    let (report, _) = run.go(Some(dir.path()), &data(), &mut metrics).unwrap();
    metrics.finish().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |field: &str| -> Vec<(u64, f64)> {
        let with = lines.iter().filter(|line| line.get(field).is_some());
        with.map(|line| (line["step"].as_u64().unwrap(), line[field].as_f64().unwrap())).collect()
    };
    let losses: Vec<(u64, f64)> = (1..).zip(report.losses.iter().copied()).collect();
    assert_eq!(of("loss"), losses);
    let evaluations: Vec<(u64, f64)> =
        report.evaluations.iter().map(|record| (record.step as u64, record.loss)).collect();
    assert_eq!(of("eval_loss"), evaluations);
    assert!(of("tokens_per_second").iter().all(|&(_, rate)| rate > 0.0));

    // A new run begins a new file.
    let fresh = tempfile::tempdir().unwrap();
    let mut metrics = MetricsFile::new(&path);
    run.go(Some(fresh.path()), &data(), &mut metrics).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), lines.len());
    let mut lost = MetricsFile::new("/no/such/folder/metrics.jsonl");
    Run::new().go(None, &data(), &mut lost).unwrap();
    assert!(lost.finish().unwrap_err().to_string().contains("/no/such/folder/metrics.jsonl"));
}

#[test]
fn distances_between_checkpoints_are_read_and_written() {
    for (text, every) in [
        ("500", Every::Steps(500)),
        ("1e", Every::Epochs(1)),
        ("45s", Every::Seconds(45)),
        ("10m", Every::Seconds(600)),
        ("2h", Every::Seconds(7200)),
    ] {
        assert_eq!(text.parse(), Ok(every));
        assert_eq!(every.to_string(), text);
    }
    for bad in ["", "m", "-5", "1.5h", "ten"] {
        let error = bad.parse::<Every>().unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{bad}` is no distance")), "{error}");
    }
    let (dir, bad) = (tempfile::tempdir().unwrap(), Run { every: Every::Steps(0), ..Run::new() });
    let error = bad.checkpoints(dir.path()).unwrap_err();
    assert!(matches!(error, FinetuneError::Parameter(error) if error.name == "checkpoints.every"));
}
