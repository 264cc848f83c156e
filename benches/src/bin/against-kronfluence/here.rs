//! Our side of one command, in a process of its own so that the greatest memory is its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tamis::artifact::{NoProgress, Progress, Stage};
use tamis::dataset::Encodings;
use tamis::gradients::{GradientPass, Labels, PassParams, RowType, Sink};
use tamis::influence::Seeds;
use tamis::kfac::{Curvature, CurvatureFit, CurvatureKind, Damping, FitParams, Fitted};
use tamis::model::Reduction;
use tamis::model::{CausalLm, DeviceSpec, LayerInfo, LoadOptions, load};

use crate::work::{Samples, Work};

/// Time a stage took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
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

/// Where our curvature lies.
pub(crate) fn fitted(folder: &Path) -> PathBuf {
    folder.join("ours").join("curvature")
}

/// Where our scores with a curvature lie.
pub(crate) fn scores(folder: &Path, curvature: &str) -> PathBuf {
    folder.join("ours").join(format!("scores-{curvature}"))
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
    let (first, kind) = match command {
        "factors" => ("covariances", CurvatureKind::Kfac),
        "identity" => ("scores", CurvatureKind::Identity),
        "kfac" => ("scores", CurvatureKind::Kfac),
        "ekfac" => ("second moments", CurvatureKind::Ekfac),
        other => panic!("{other}: no such command"),
    };
    if command == "factors" {
        remove(&fitted(folder));
    } else if command == "ekfac" {
        remove(&fitted(folder).join("moments"));
    }
    let mut clock = Clock::new(first);
    let fitted = side.fit(kind, &mut clock);
    if command != "factors" {
        clock.turn("scores");
        let curvature = fitted.curvature(Damping::Relative(0.1)).expect("a curvature");
        side.score(command, &*curvature);
    }
    Answer { stages: clock.stop(), loaded, peak: memory("VmHWM") }
}

/// The covariances and eigenvectors that `factors` has left.
pub(crate) fn known(folder: &Path) -> Fitted {
    let (samples, (model, layers)) = (Samples::read(folder), model_of(&Work::read(folder)));
    let side = Side { folder, model: &*model, layers: &layers, samples: &samples };
    side.fit(CurvatureKind::Kfac, &mut Clock::new("reading"))
}

/// A loaded model and its work.
struct Side<'a> {
    folder: &'a Path,
    model: &'a dyn CausalLm,
    layers: &'a [LayerInfo],
    samples: &'a Samples,
}

impl Side<'_> {
    /// Under settings with which both sides' curvature is the same. What an earlier command has fitted
    /// is read.
    fn fit(&self, kind: CurvatureKind, clock: &mut Clock) -> Fitted {
        let params = FitParams { labels: Labels::Data, ..FitParams::default() };
        let (model, layers) = (self.model, self.layers);
        let fit = CurvatureFit { model, layers, params, layers_at_once: None };
        fit.run(kind, &Encodings::of(&self.samples.train), &fitted(self.folder), clock)
            .expect("a fit")
    }

    fn score(&self, name: &str, curvature: &dyn Curvature) {
        let params = PassParams { reduction: Reduction::Sum, ..PassParams::default() };
        let pass = GradientPass { model: self.model, layers: self.layers, params };
        let seeds = Seeds::new(&pass, &self.samples.queries, curvature).expect("queries");
        let place = scores(self.folder, name);
        remove(&place);
        let sink = Sink::new(&seeds, "scores", place, RowType::F32);
        pass.run(&Encodings::of(&self.samples.train), &[sink], &mut NoProgress).expect("scores");
    }
}

/// Time by stage. As a [`Progress`] it turns to every stage with something left to do, so that reading
/// what an earlier command left belongs to the stage that wants it.
struct Clock {
    stages: BTreeMap<String, Spent>,
    stage: String,
    begun: Instant,
    used: f64,
}

impl Clock {
    fn new(stage: &str) -> Self {
        let stages = BTreeMap::new();
        Self { stages, stage: stage.to_owned(), begun: Instant::now(), used: processor_seconds() }
    }

    fn turn(&mut self, stage: &str) {
        let next = Self::new(stage);
        let seconds = (next.begun - self.begun).as_secs_f64();
        let (stage, begun) = (std::mem::replace(&mut self.stage, next.stage), next.begun);
        let spent = self.stages.entry(stage).or_default();
        spent.seconds += seconds;
        spent.processor += next.used - self.used;
        (self.begun, self.used) = (begun, next.used);
    }

    fn stop(mut self) -> BTreeMap<String, Spent> {
        self.turn("");
        self.stages
    }
}

impl Progress for Clock {
    fn start(&mut self, stage: &Stage<'_>) {
        if stage.done < stage.total {
            self.turn(stage.name);
        }
    }

    fn advance(&mut self, _by: u64) {}
}

/// Removes the results of an earlier round.
fn remove(place: &Path) {
    if place.exists() {
        fs::remove_dir_all(place).expect("removing an earlier round's results");
    }
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
