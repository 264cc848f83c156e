//! Fine-tunes a language model on instruction data: all its weights, or a LoRA adapter.
//!
//! ```text
//! cargo run --release -p tamis-examples --example finetune -- \
//!     --model MODEL --train selected.jsonl --valid valid.jsonl --out out/finetune --learning-rate 3e-4
//! ```
//!
//! You should see a bar with loss, tokens a second and the time left, and in `--out`: `model/` (a
//! folder that Hugging Face's programs load; with `--lora-rank` an adapter for PEFT, unless
//! `--merge`), `metrics.jsonl` (a line for every step and evaluation), `report.html` with the loss
//! curve, `run.json`, and checkpoints. After an interruption the same command goes on from the
//! newest of these.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context, Result};
use clap::Parser;
use tamis::artifact::Progress;
use tamis::dataset::Encodings;
use tamis::finetune::{Checkpoints, Job, Lora, MetricsFile, TrainReport};
use tamis::model::{CausalLm, DeviceSpec, configure_threads};
use tamis::report::{RunRecord, StageTimer};
use tamis_examples::finetune::{Flags, left_out, open, page};
use tamis_examples::{
    Bars, begin_results, end_results, refuse_inside, refuse_overwriting, say_results,
};

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let mut record = RunRecord::start("finetune", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    record.seeds.set("seed", flags.seed);
    let trainer = flags.training().check()?;

    // Data and model.
    for input in [&flags.model.model, &flags.train].into_iter().chain(&flags.valid) {
        refuse_overwriting(input, &flags.out, &["metrics.jsonl", "run.json", "report.html"])?;
    }
    refuse_inside(&flags.model.model, &flags.out)?;
    let encoder = flags.text.encoder(&flags.model)?;
    record.add_input(&flags.model.model)?;
    let train = open("train", &flags.train, &flags.text, &mut record)?;
    let valid = match &flags.valid {
        Some(path) => Some(open("valid", path, &flags.text, &mut record)?),
        None => None,
    };
    let mut model = flags.model.load()?;
    let mut lora = flags.adapter().map(|params| Lora::new(params, &model)).transpose()?;
    let trained = trained(lora.as_ref(), &model);
    tamis_examples::note!("{trained}");
    record.notes.push(trained.clone());
    record.environment.threads = Some(threads.count);
    record.environment.device = Some(DeviceSpec::from(model.shape().device).to_string());

    // Training, from the newest checkpoint on if there is one.
    let mut timer = StageTimer::start("train");
    let mut checkpoints = Checkpoints::open(&flags.out, &flags.model.model, flags.checkpoints())?;
    let mut watching = (Bars::training("train"), MetricsFile::new(flags.out.join("metrics.jsonl")));
    let rows = Encodings::new(&train, &encoder);
    let held_out = valid.as_ref().map(|valid| Encodings::new(valid, &encoder));
    let job = Job {
        model: &mut model,
        lora: lora.as_mut(),
        data: &rows,
        validation: held_out.as_ref().map(|rows| (rows, flags.evaluation())),
        checkpoints: Some(&mut checkpoints),
    };
    let report = trainer.run(job, &mut watching).with_context(|| {
        let held_out = flags.valid.as_ref();
        let beside = held_out.map(|path| format!(", held out: {}", path.display()));
        format!("fine-tuning on {}{}", flags.train.display(), beside.unwrap_or_default())
    })?;
    watching.0.finish();
    watching.1.finish()?;
    left_out("train", &train, &report.skipped, &mut record)?;
    if let Some(valid) = &valid {
        left_out("valid", valid, &report.held_out_skipped, &mut record)?;
    }
    timer.resumed(report.resumed.is_some());
    record.stages.push(timer.finish());

    // Results.
    let place = flags.out.join("model");
    begin_results(&flags.out)?;
    match &lora {
        Some(lora) if flags.merge => {
            lora.merge(&mut model)?;
            model.save_pretrained(&place)?;
        }
        Some(lora) => lora.save_pretrained(&model, &flags.model.model, &place)?,
        None => model.save_pretrained(&place)?,
    }
    remove_other_kind(&place, lora.is_some() && !flags.merge)?;
    count(&report, &mut record);
    let files = vec![place, flags.out.join("metrics.jsonl")];
    let files =
        end_results(&flags.out, files, record, |record| Ok(page(&report, &trained, record)))?;
    say_results(losses(&report).trim_end(), &files)
}

/// Removes what an earlier command with or without `--merge` left in `place`: with an adapter beside
/// merged weights, programs that load the folder would add it a second time.
fn remove_other_kind(place: &Path, adapter: bool) -> Result<()> {
    let entries = fs::read_dir(place).with_context(|| format!("listing {}", place.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("listing {}", place.display()))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let of_adapter = name.starts_with("adapter_");
        let of_model = name.starts_with("model") && name.contains(".safetensors");
        if (adapter && of_model) || (!adapter && of_adapter) {
            let path = entry.path();
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

/// Puts what the training did into the record.
fn count(report: &TrainReport, record: &mut RunRecord) {
    for (name, count) in
        [("steps", report.steps), ("tokens", report.tokens), ("targets", report.targets)]
    {
        record.counts.set(name, count as u64);
    }
    if report.stopped_early {
        record.notes.push("stopped early: the held-out loss did not fall any more".to_owned());
    }
    if let Some(step) = report.restored {
        record.notes.push(format!("the weights are those after step {step}, the best evaluation"));
    }
}

/// The number of steps and the losses at both ends, a line each.
fn losses(report: &TrainReport) -> String {
    let mut lines = vec![format!("{} steps", report.steps)];
    if let (Some(first), Some(last)) = (report.epochs.first(), report.epochs.last()) {
        let (first, last) = (first.loss, last.loss);
        lines.push(format!("training loss: {first:.4} in the first epoch, {last:.4} in the last"));
    }
    let best = report.evaluations.iter().rev().find(|record| record.best);
    if let (Some(first), Some(best)) = (report.evaluations.first(), best) {
        let (before, after, step) = (first.loss, best.loss, best.step);
        lines.push(format!("held-out loss: {before:.4} before, {after:.4} after step {step}"));
    }
    lines.join("\n") + "\n"
}

/// What is trained, in words.
fn trained(lora: Option<&Lora>, model: &dyn CausalLm) -> String {
    let all = model.parameters().count();
    match lora {
        Some(lora) => {
            let (layers, rank) = (lora.layers().count(), lora.params().rank);
            format!(
                "{} adapter weights of rank {rank} on {layers} layers, beside {all}",
                lora.count()
            )
        }
        None => format!("all {all} weights"),
    }
}
