//! The warm-up: a short training of an adapter, a checkpoint of each epoch kept.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use tamis::artifact::Progress;
use tamis::dataset::Encodings;
use tamis::finetune::{Checkpoints, Job, Lora};
use tamis::model::CausalLm;

use super::Flags;
use crate::Bars;

/// What the warm-up left.
#[derive(Debug)]
pub struct Warmup {
    /// Folders of the checkpoints, the first epoch's first.
    pub checkpoints: Vec<PathBuf>,
    /// Mean loss of each epoch.
    pub losses: Vec<f64>,
    /// Rows that were trained on.
    pub rows: usize,
    /// Whether an earlier run had done it, or a part of it.
    pub resumed: bool,
}

/// Trains an adapter on a random share of the pool. One that was interrupted goes on, one that is
/// done is only read; one of other settings, another model or other rows is refused.
///
/// # Errors
/// A share without a row, or what training reports.
pub fn warm_up(flags: &Flags, model: &mut dyn CausalLm, pool: &Encodings<'_>) -> Result<Warmup> {
    let share = flags.warmup_share;
    ensure!(
        share > 0.0 && share <= 1.0,
        "--warmup-share is {share}, but must be above 0 and at most 1"
    );
    let count = ((pool.len() as f64 * share).ceil() as usize).max(1);
    let (data, _) = pool.sample(count, flags.seed)?.read_all()?;
    ensure!(!data.is_empty(), "none of the {count} rows drawn for the warm-up can be used");
    let trainer = flags.training().check()?;
    let (steps, epochs) = (trainer.steps(data.len()), flags.epochs);
    crate::note!("warm-up: {} rows, {steps} steps in {epochs} epochs", data.len());
    let mut lora = Lora::new(flags.adapter(), model)?;
    let mut checkpoints =
        Checkpoints::open(flags.warmup_folder(), &flags.model.model, flags.checkpoints())?;
    let mut bars = Bars::training("warm-up");
    let rows = Encodings::of(&data);
    let job = Job {
        lora: Some(&mut lora),
        checkpoints: Some(&mut checkpoints),
        ..Job::new(model, &rows)
    };
    let report = trainer.run(job, &mut bars).context("warming up the model")?;
    bars.finish();
    let mut folders: Vec<PathBuf> =
        checkpoints.list()?.into_iter().map(|(_, folder)| folder).collect();
    folders.reverse();
    ensure!(
        folders.len() == epochs,
        "{} holds {} checkpoints, but there were {epochs} epochs; remove it to warm up again",
        checkpoints.dir().display(),
        folders.len()
    );
    Ok(Warmup {
        checkpoints: folders,
        losses: report.epochs.iter().map(|epoch| epoch.loss).collect(),
        rows: data.len(),
        resumed: report.resumed.is_some(),
    })
}
