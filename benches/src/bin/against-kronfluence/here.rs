//! Our side of one command, in a process of its own so that the greatest memory is its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tamis::artifact::NoProgress;
use tamis::gradients::{GradientPass, Labels, PassParams, Reduction, RowStore, RowType, Sink};
use tamis::influence::Seeds;
use tamis::kfac::{Curvature, Damping, FactorFit, FactorStore, FitParams, Identity, Kfac};
use tamis::model::{CausalLm, DeviceSpec, LayerInfo, LoadOptions, load};

use crate::work::{Samples, Work};

/// Time a stage took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// On the clock.
    pub seconds: f64,
    /// Of all processors together.
    pub processor: f64,
}

/// What a side says of a command.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The time of each stage.
    pub stages: BTreeMap<String, Spent>,
    /// Resident bytes with the model loaded, before the first stage.
    pub loaded: u64,
    /// Resident bytes at the most.
    pub peak: u64,
}

/// Where our results of `what` lie.
pub(crate) fn place(folder: &Path, what: &str) -> PathBuf {
    folder.join("ours").join(what)
}

/// The model and those of its layers that the work names.
pub(crate) fn model_of(work: &Work) -> (Box<dyn CausalLm>, Vec<LayerInfo>) {
    let options = LoadOptions { device: DeviceSpec::Cpu, ..LoadOptions::default() };
    let model = load(&work.model, &options).expect("a model");
    let chosen = model.layers().iter().filter(|layer| work.layers.contains(&layer.name));
    let layers = chosen.cloned().collect();
    (model, layers)
}

/// Runs `command` on the work in `folder`.
pub(crate) fn run(folder: &Path, command: &str) -> Answer {
    let samples = Samples::read(folder);
    let (model, layers) = model_of(&Work::read(folder));
    let side = Side { folder, model: &*model, layers: &layers, samples: &samples };
    let loaded = memory("VmRSS");
    let mut stages = BTreeMap::new();
    let mut timed = |stage: &str, work: &mut dyn FnMut()| {
        let (begun, used) = (Instant::now(), processor_seconds());
        work();
        let seconds = begun.elapsed().as_secs_f64();
        stages.insert(stage.to_owned(), Spent { seconds, processor: processor_seconds() - used });
    };
    let mut curvature: Box<dyn Curvature> = Box::new(Identity);
    match command {
        "covariances" => timed("covariances", &mut || side.fit()),
        "identity" => {}
        "kfac" => timed("eigendecomposition", &mut || curvature = side.kfac()),
        other => panic!("{other}: no such command"),
    }
    if command != "covariances" {
        timed("scores", &mut || side.score(command, &*curvature));
    }
    Answer { stages, loaded, peak: memory("VmHWM") }
}

/// A loaded model and its work.
struct Side<'a> {
    folder: &'a Path,
    model: &'a dyn CausalLm,
    layers: &'a [LayerInfo],
    samples: &'a Samples,
}

impl Side<'_> {
    /// The settings under which both sides' factors are the same.
    fn params() -> FitParams {
        FitParams { labels: Labels::Data, ..FitParams::default() }
    }

    fn fit(&self) {
        let fit = FactorFit { model: self.model, layers: self.layers, params: Self::params() };
        let place = fresh(self.folder, "covariances");
        let mut store =
            FactorStore::create_or_resume(place, fit.manifest_fields()).expect("a store");
        fit.run(&self.samples.train, &mut store, &mut NoProgress).expect("covariances");
    }

    fn kfac(&self) -> Box<dyn Curvature> {
        let store = FactorStore::open(place(self.folder, "covariances")).expect("covariances");
        let shape = self.model.shape();
        let factors = store.merged(self.layers, shape.kind, shape.device).expect("covariances");
        Box::new(Kfac::new(&factors, Damping::Relative(0.1), shape.kind).expect("eigenvectors"))
    }

    fn score(&self, name: &str, curvature: &dyn Curvature) {
        let params = PassParams { reduction: Reduction::Sum, ..PassParams::default() };
        let pass = GradientPass { model: self.model, layers: self.layers, params };
        let seeds = Seeds::new(&pass, &self.samples.queries, curvature).expect("queries");
        let place = fresh(self.folder, name);
        let mut store =
            RowStore::create_or_resume(place, "scores", pass.manifest_fields(), RowType::F32)
                .expect("a store");
        let mut sinks = [Sink { reducer: &seeds, store: &mut store }];
        pass.run(&self.samples.train, &mut sinks, &mut NoProgress).expect("scores");
    }
}

/// The folder of `what`, not there yet.
fn fresh(folder: &Path, what: &str) -> PathBuf {
    let place = place(folder, what);
    if place.exists() {
        fs::remove_dir_all(&place).expect("removing an earlier round's results");
    }
    place
}

/// Bytes that `/proc/self/status` gives for this program alone.
fn memory(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with(field)).expect("the field");
    line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).expect("a number") * 1024
}

/// User and system time of all threads, in the hundredths of a second that Linux counts.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    // Fields 14 and 15; the second, a name in brackets, may have spaces.
    let after = &stat[stat.rfind(')').expect("a name") + 1..];
    let ticks = after.split_whitespace().skip(11).take(2).map(|n| n.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / 100.0
}
