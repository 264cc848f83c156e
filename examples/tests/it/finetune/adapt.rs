//! The adaptation step of the selecting programs goes on after an interruption.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use tamis::artifact::{Progress, Stage};
use tamis::dataset::{Encoded, Encodings, SampleId};
use tamis::finetune::{CheckpointParams, Checkpoints, Every, Job, TrainParams};
use tamis::model::{DType, DeviceSpec};
use tamis_examples::{ModelFlags, adapt};

use crate::program;

fn samples() -> Vec<Encoded> {
    let sample = |n: usize| Encoded {
        id: SampleId::from(format!("row-{n}")),
        index: n,
        ids: (0..8).map(|t| ((7 * n + 3 * t) % 60 + 5) as u32).collect(),
        supervised: (0..8).map(|t| t > 3).collect(),
        truncated: false,
    };
    (0..24).map(sample).collect()
}

struct Dies;

impl Progress for Dies {
    fn start(&mut self, _: &Stage<'_>) {}
    fn advance(&mut self, _: u64) {}
    fn record(&mut self, kind: &str, record: &Value) {
        assert!(kind != "step" || record["step"].as_u64() < Some(7), "killed");
    }
}

#[test]
fn an_interrupted_adaptation_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ModelFlags { model: program::model(), device: DeviceSpec::Cpu, dtype: DType::F32 };
    let params =
        TrainParams { epochs: 2, learning_rate: 1e-3, batch_size: 4, ..TrainParams::default() };
    let go = |out: &str| {
        let out = folder.path().join(out);
        let model = flags.load().unwrap();
        adapt(&flags, model, &Encodings::of(&samples()), params.clone(), &out).unwrap().1
    };
    let calm = go("calm");
    assert_eq!(calm.losses.len(), 12);

    // What a killed run leaves behind: a checkpoint of step 6.
    let place = folder.path().join("stormy/adaptation/checkpoints");
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    for name in ["manifest.json", "journal.jsonl"] {
        let text = fs::read(folder.path().join("calm/adaptation").join(name)).unwrap();
        let text = if name == "manifest.json" { text } else { Vec::new() };
        fs::write(folder.path().join("stormy/adaptation").join(name), text).unwrap();
    }
    let every = CheckpointParams { every: Every::Steps(3), keep: 1, at_end: false };
    let killed = catch_unwind(AssertUnwindSafe(|| {
        let mut checkpoints = Checkpoints::open(&place, &flags.model, every).unwrap();
        let mut model = flags.load().unwrap();
        let data = samples();
        let data = Encodings::of(&data);
        let job = Job { checkpoints: Some(&mut checkpoints), ..Job::new(&mut model, &data) };
        drop(params.clone().check().unwrap().run(job, &mut Dies));
    }));
    assert!(killed.is_err() && place.join("checkpoint-6").is_dir());

    let stormy = go("stormy");
    assert_eq!((stormy.fingerprint, stormy.losses), (calm.fingerprint, calm.losses));
    let contents = |out: &str| program::contents(&folder.path().join(out));
    assert!(contents("calm") == contents("stormy"));
    assert!(!place.exists());
}
