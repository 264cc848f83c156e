//! A run that can be interrupted and go on.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::Value;
use tamis_artifact::{Progress, Stage};
use tamis_dataset::{Encoded, Encodings};
use tamis_finetune::{
    CheckpointParams, Checkpoints, EvalParams, Every, FinetuneError, Job, Lora, LoraParams,
    TrainParams, TrainReport,
};
use tamis_model::DType;
use tempfile::TempDir;

use crate::common::{data, fixture, llama, settings};

/// A run that can be interrupted.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) kind: DType,
    pub(crate) params: TrainParams,
    pub(crate) lora: Option<LoraParams>,
    pub(crate) validation: Option<EvalParams>,
    pub(crate) every: Every,
    pub(crate) keep: usize,
    pub(crate) at_end: bool,
}

impl Run {
    pub(crate) fn new() -> Self {
        Self {
            kind: DType::F32,
            params: settings(),
            lora: None,
            validation: None,
            every: Every::Steps(3),
            keep: 2,
            at_end: true,
        }
    }

    pub(crate) fn checkpoints(&self, dir: &Path) -> Result<Checkpoints, FinetuneError> {
        let Self { every, keep, at_end, .. } = *self;
        Checkpoints::open(dir, fixture("llama"), CheckpointParams { every, keep, at_end })
    }

    pub(crate) fn go(
        &self,
        dir: Option<&Path>,
        data: &[Encoded],
        observer: &mut dyn Progress,
    ) -> Result<(TrainReport, String), FinetuneError> {
        let mut model = llama(self.kind);
        let mut checkpoints = dir.map(|dir| self.checkpoints(dir)).transpose()?;
        let mut lora = self.lora.clone().map(|p| Lora::new(p, &*model).unwrap());
        // Held-out samples are not trained on.
        let (data, held_out) = match self.validation {
            Some(_) => data.split_at(12),
            None => (data, data),
        };
        let (data, held_out) = (Encodings::of(data), Encodings::of(held_out));
        let job = Job {
            lora: lora.as_mut(),
            validation: self.validation.map(|how| (&held_out, how)),
            checkpoints: checkpoints.as_mut(),
            ..Job::new(model.as_mut(), &data)
        };
        let report = self.params.clone().check().unwrap().run(job, observer)?;
        let fingerprint = match &lora {
            Some(lora) => lora.fingerprint()?,
            None => model.parameters().fingerprint()?,
        };
        Ok((report, fingerprint))
    }

    /// Runs until `step` has been taken and then dies as a killed process does: without a word.
    pub(crate) fn die_at(&self, dir: &Path, step: usize) {
        struct Dies(usize);
        impl Progress for Dies {
            fn start(&mut self, _: &Stage<'_>) {}
            fn advance(&mut self, _: u64) {}
            fn record(&mut self, kind: &str, record: &Value) {
                assert!(kind != "step" || record["step"].as_u64() < Some(self.0 as u64), "killed");
            }
        }
        let killed = catch_unwind(AssertUnwindSafe(|| {
            drop(self.go(Some(dir), &data(), &mut Dies(step)));
        }));
        assert!(killed.is_err(), "the run ended before step {step}");
    }
}

pub(crate) fn steps_in(dir: &Path) -> Vec<usize> {
    let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
    let names = fs::read_dir(dir).unwrap().map(|entry| name(entry.unwrap()));
    let mut steps: Vec<usize> =
        names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok()).collect();
    steps.sort_unstable();
    steps
}

/// A folder with checkpoints 3 and 6 of [`Run::new`].
pub(crate) fn interrupted() -> (TempDir, Run) {
    let (dir, run) = (tempfile::tempdir().unwrap(), Run::new());
    run.die_at(dir.path(), 8);
    assert_eq!(steps_in(dir.path()), [3, 6]);
    (dir, run)
}
