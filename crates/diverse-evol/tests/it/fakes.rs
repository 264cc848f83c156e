//! A trainer and a viewer that need no model, and count what they are asked.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tamis_artifact::NoProgress;
use tamis_dataset::{Sample, SampleId};
use tamis_diverse_evol::{
    EvolError, EvolParams, Evolution, Failure, Metrics, Need, Sight, Task, Trainer, View, Viewer,
};
use tamis_selection::vectors::ndarray::{Array2, ArrayView2};
use tempfile::TempDir;

/// Breaks after so many things were done; unlimited if `None`.
#[derive(Clone, Default)]
pub(crate) struct Fuse(pub(crate) Rc<Cell<Option<usize>>>);

impl Fuse {
    pub(crate) fn burn(&self) -> Result<(), Failure> {
        match self.0.get() {
            Some(0) => Err("the fuse is burnt".into()),
            Some(left) => {
                self.0.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// A folder with a base model, and the ids of a pool.
pub(crate) struct World {
    root: PathBuf,
    /// Removes `root` in the end, unless it belongs to somebody else.
    temporary_root: Option<TempDir>,
    pub(crate) ids: Vec<SampleId>,
    pub(crate) params: EvolParams,
    pub(crate) trainer: FakeTrainer,
    pub(crate) viewer: FakeViewer,
}

impl World {
    /// 30 records; 3, and 4 rounds of 2.
    pub(crate) fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        Self::at(temporary.path()).owning(temporary)
    }

    fn owning(mut self, temporary: TempDir) -> Self {
        self.temporary_root = Some(temporary);
        self
    }

    /// The same in a folder that stays.
    pub(crate) fn at(root: &Path) -> Self {
        fs::create_dir_all(root.join("base")).unwrap();
        fs::write(root.join("base/weights"), "base").unwrap();
        let ids = (0..30).map(|n| SampleId::from(format!("r{n}"))).collect();
        let fuse = Fuse::default();
        Self {
            root: root.to_owned(),
            temporary_root: None,
            ids,
            params: EvolParams { initial: 3, per_round: 2, rounds: 4, ..EvolParams::default() },
            trainer: FakeTrainer { fuse: fuse.clone(), ..FakeTrainer::default() },
            viewer: FakeViewer { fuse, ..FakeViewer::default() },
        }
    }

    pub(crate) fn base(&self) -> PathBuf {
        self.root.join("base")
    }

    /// A row for each id.
    pub(crate) fn rows(&self) -> Vec<Sample> {
        let row = |id: &SampleId| Sample::instruction("say", id.as_str()).with_id(id.clone());
        self.ids.iter().map(row).collect()
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Lets trainer and viewer do so many things before they break.
    pub(crate) fn limit(&self, things: Option<usize>) {
        self.trainer.fuse.0.set(things);
    }

    pub(crate) fn try_run(&mut self, out: &str) -> Result<Evolution, EvolError> {
        let (base, out) = (self.base(), self.out(out));
        let rows = self.rows();
        let evol = self.params.clone().check()?;
        evol.run(&rows, base, out, &mut self.trainer, &mut self.viewer, &mut NoProgress)
    }

    pub(crate) fn run(&mut self, out: &str) -> Evolution {
        self.try_run(out).unwrap()
    }

    /// What it is refused with.
    pub(crate) fn refusal(&mut self, out: &str) -> String {
        match self.try_run(out) {
            Ok(_) => panic!("was not refused"),
            Err(error) => error.to_string(),
        }
    }
}

/// "Trains" in three steps, each of which leaves a file; the model is the list of its records.
#[derive(Default)]
pub(crate) struct FakeTrainer {
    pub(crate) fuse: Fuse,
    pub(crate) settings: u32,
    /// Rounds that were asked for, with their records.
    pub(crate) asked: Vec<(usize, Vec<usize>)>,
    /// Steps that were taken, over all rounds.
    pub(crate) steps: usize,
    /// Trainings that were finished.
    pub(crate) finished: Vec<usize>,
    /// What it does wrong.
    pub(crate) lie: Option<Lie>,
    /// How long a step takes.
    pub(crate) pace: Duration,
}

#[derive(Clone, Copy)]
pub(crate) enum Lie {
    NoFolder,
    EmptyFolder,
    NotANumber,
}

impl Trainer for FakeTrainer {
    fn description(&self) -> Value {
        json!({ "settings": self.settings })
    }

    fn train(&mut self, task: &Task<'_>) -> Result<Metrics, Failure> {
        assert!(task.work.is_dir() && !task.model.exists());
        self.asked.push((task.round, task.records.to_vec()));
        for step in 0..3 {
            let checkpoint = task.work.join(format!("step-{step}"));
            if !checkpoint.exists() {
                self.fuse.burn()?;
                std::thread::sleep(self.pace);
                fs::write(checkpoint, format!("{step}"))?;
                self.steps += 1;
            }
        }
        if !matches!(self.lie, Some(Lie::NoFolder)) {
            fs::create_dir(task.model)?;
        }
        if self.lie.is_none() {
            fs::write(task.model.join("config"), "a config")?;
            self.fuse.burn()?;
            fs::write(task.model.join("weights"), format!("{:?}", task.records))?;
        }
        self.finished.push(task.round);
        let not_a_number = matches!(self.lie, Some(Lie::NotANumber));
        if not_a_number {
            fs::write(task.model.join("weights"), "bad")?;
        }
        let loss = if not_a_number { f64::NAN } else { 1.0 / task.records.len() as f64 };
        Ok(Metrics::from([("train_loss".to_owned(), loss)]))
    }
}

/// Sees every record at a place that depends on the model.
#[derive(Default)]
pub(crate) struct FakeViewer {
    pub(crate) fuse: Fuse,
    /// Models that were looked with.
    pub(crate) looked: Vec<PathBuf>,
    pub(crate) measured: Vec<Option<usize>>,
    /// What it does wrong.
    pub(crate) fault: Option<Fault>,
}

#[derive(Clone, Copy)]
pub(crate) enum Fault {
    TooFew,
    WrongKind,
    NotANumber(usize),
}

pub(crate) const RECORDS: usize = 30;

/// Where the records are, seen with a model of these bytes: small whole numbers, with ties.
pub(crate) fn places(weights: &[u8]) -> Array2<f32> {
    let mut state = weights.iter().fold(7_u64, |state, &byte| {
        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(u64::from(byte) + 1)
    });
    Array2::from_shape_simple_fn((RECORDS, 2), || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 58) % 16) as f32
    })
}

/// An array that can be given away.
#[derive(Clone, Debug)]
pub(crate) struct Owned(pub(crate) Array2<f32>);

impl tamis_selection::Vectors for Owned {
    fn len(&self) -> usize {
        self.0.nrows()
    }
    fn width(&self) -> usize {
        self.0.ncols()
    }
    fn block<'a>(
        &'a self,
        first: usize,
        count: usize,
        scratch: &'a mut Vec<f32>,
    ) -> Result<&'a [f32], tamis_selection::vectors::VectorsError> {
        let view: ArrayView2<'_, f32> = self.0.view();
        scratch.clear();
        scratch.extend(view.rows().into_iter().skip(first).take(count).flatten());
        Ok(scratch)
    }
}

impl Viewer for FakeViewer {
    type Rows = Owned;

    fn description(&self) -> Value {
        json!({ "columns": 2 })
    }

    fn view(&mut self, sight: &Sight<'_>, need: Need) -> Result<View<Owned>, Failure> {
        self.fuse.burn()?;
        self.looked.push(sight.model.to_owned());
        let mut places = places(&fs::read(sight.model.join("weights"))?);
        fs::create_dir_all(sight.place)?;
        fs::write(sight.place.join("rows"), format!("{places:?}"))?;
        self.fuse.burn()?;
        match self.fault {
            Some(Fault::TooFew) => {
                places = places.slice_move(tamis_selection::vectors::ndarray::s![1.., ..]);
            }
            Some(Fault::NotANumber(row)) => places[[row, 1]] = f32::NAN,
            _ => {}
        }
        let wrong = matches!(self.fault, Some(Fault::WrongKind));
        Ok(match (need, wrong) {
            (Need::Embeddings, false) | (Need::Uncertainty(_), true) => {
                View::Embeddings(Owned(places))
            }
            _ => View::Uncertainty(places.column(1).iter().map(|&x| f64::from(x)).collect()),
        })
    }

    fn measure(&mut self, sight: &Sight<'_>) -> Result<Metrics, Failure> {
        self.fuse.burn()?;
        self.measured.push(sight.round);
        let bytes = fs::read(sight.model.join("weights"))?.len();
        Ok(Metrics::from([("held_out_loss".to_owned(), 0.1 / bytes as f64)]))
    }
}

/// Every file below a folder but the one that depends on the clock.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "times.jsonl" {
                let bytes = fs::read(&path).unwrap();
                files.insert(path.strip_prefix(dir).unwrap().to_owned(), bytes);
            }
        }
    }
    files
}
