//! The first step of gradient-based selection: fine-tuning the model on the pool itself.
//!
//! At a model that never saw the pool, gradients tell little about which rows are good; after a few
//! epochs on the raw pool they do.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tamis::artifact::{Fingerprint, Provenance, StoreWriter};
use tamis::dataset::Encodings;
use tamis::finetune::{CheckpointParams, Checkpoints, Every, Job, TrainParams};
use tamis::model::{CausalLm, Model};

use crate::{Bars, ModelFlags};

/// What adapting did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Adaptation {
    /// Loss of every optimizer step, nats per supervised token.
    pub losses: Vec<f64>,
    /// Fingerprint of the adapted model.
    pub fingerprint: Fingerprint,
    /// Whether an earlier run had done it.
    #[serde(skip)]
    pub resumed: bool,
}

/// Often enough that little is lost, seldom enough that writing takes no time to speak of.
const CHECKPOINTS: CheckpointParams =
    CheckpointParams { every: Every::Seconds(300), keep: 1, at_end: false };

/// Fine-tunes all weights on `rows`, read as they are needed, and keeps the model in `out/adapted`, or loads it from there
/// if an earlier run with the same rows, model and settings did it.
///
/// While it goes on there are checkpoints in `out/adaptation/checkpoints`, from the newest of which
/// an interrupted adaptation goes on.
///
/// # Errors
/// A folder made with other settings (the field is named), a run that diverges, or a full disk.
pub fn adapt(
    flags: &ModelFlags,
    model: Model,
    rows: &Encodings<'_>,
    params: TrainParams,
    out: &Path,
) -> Result<(Model, Adaptation)> {
    const RECORD: &str = "losses.json";
    let manifest = Provenance::new()
        .source(rows.fingerprint()?)
        .encoder(rows.encoder_fingerprint())
        .model(model.fingerprint()?)
        .settings(&params)?
        .manifest("adaptation", 2);
    let (place, folder) = (out.join("adaptation"), out.join("adapted"));
    let foreign = !place.join("manifest.json").exists()
        && fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some());
    anyhow::ensure!(
        !foreign,
        "{} holds files that no adaptation recorded in {} has written; move them away or choose \
         another --out",
        folder.display(),
        place.display()
    );
    let mut store = StoreWriter::create_or_resume(&place, &manifest)?;
    let unfinished = place.join("checkpoints");
    if store.is_complete() && folder.join("model.safetensors").is_file() {
        let mut done: Adaptation = serde_json::from_slice(&store.read(RECORD)?)?;
        done.resumed = true;
        remove(&unfinished)?;
        let adapted = ModelFlags { model: folder.clone(), ..flags.clone() }.load()?;
        anyhow::ensure!(
            adapted.fingerprint()? == done.fingerprint,
            "the weights in {} are not those that the adaptation wrote; delete {} and {} to adapt \
             again",
            folder.display(),
            folder.display(),
            store.dir().display()
        );
        return Ok((adapted, done));
    }
    anyhow::ensure!(
        !store.is_complete(),
        "{} says that {} is complete, but its weights are gone; delete both folders",
        store.dir().display(),
        folder.display()
    );
    let mut model = model;
    let mut checkpoints = Checkpoints::open(&unfinished, &flags.model, CHECKPOINTS)?;
    let job = Job { checkpoints: Some(&mut checkpoints), ..Job::new(&mut model, rows) };
    let report =
        params.check()?.run(job, &mut Bars::training("adapt")).context("adapting the model")?;
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    model.save_pretrained(&folder)?;
    let fingerprint = model.fingerprint()?;
    let done = Adaptation { losses: report.losses, fingerprint, resumed: false };
    if !store.has(RECORD) {
        store.write(RECORD, &serde_json::to_vec(&done)?)?;
    }
    store.finish()?;
    drop(checkpoints);
    remove(&unfinished)?;
    Ok((model, done))
}

/// Removes a folder if it is there.
fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("removing {}", folder.display())),
    }
}
