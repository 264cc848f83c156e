//! One source of a user's own goes through every stage.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tamis::artifact::{Fingerprint, NoProgress};
use tamis::dataset::{
    DatasetError, EncodeOptions, Encoder, Encodings, Sample, Source, Template, TextTokenizer,
};
use tamis::diverse_evol::{
    EvolParams, Failure, Metrics, Need, Sight, Task, Trainer, UncertaintyParams, View, Viewer,
};
use tamis::embeddings::{EmbedParams, Embedder, Embeddings};
use tamis::finetune::{CheckpointParams, Checkpoints, Every, Job, Lora, LoraParams, TrainParams};
use tamis::gradients::{GradientPass, PassParams, ProjectionSpec, RowType, Sink};
use tamis::ifd_scoring::{IfdScorer, Measures, ScoreParams, read_scores};
use tamis::influence::InfluenceStage;
use tamis::kfac::{CurvatureFit, CurvatureKind, FitParams};
use tamis::less::{FeatureParams, WarmCheckpoint};
use tamis::model::{CausalLm, LayerPattern, LoadOptions, load};
use tamis::nuggets::{GoldenParams, GoldenScorer};
use tamis::reflection::teacher::{Answered, Finish};
use tamis::reflection::{
    ChatRequest, Prompts, ReflectionError, ReflectionParams, Reply, ScoringStudent, Teacher, Usage,
};
use tamis::selection::ScoreStage;
use tamis::selection::scorers::{Length, Unit};

use crate::project::root;

const ROWS: usize = 14;

/// Questions about sums, made as they are asked for; it notes how many rows it was asked for at a time, at the most.
#[derive(Default)]
struct Sums {
    most: AtomicUsize,
}

impl Source for Sums {
    fn len(&self) -> usize {
        ROWS
    }
    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        self.most.fetch_max(positions.len(), Ordering::Relaxed);
        let row = |&n: &usize| {
            Sample::instruction(format!("{n} + {n}?"), (2 * n).to_string()).with_id(format!("s{n}"))
        };
        Ok(positions.iter().map(row).collect())
    }
    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        Ok(Fingerprint::from("sums"))
    }
}

fn model() -> Box<dyn CausalLm> {
    let options = LoadOptions { device: "cpu".parse().unwrap(), ..LoadOptions::default() };
    load(folder(), &options).unwrap()
}

fn folder() -> std::path::PathBuf {
    root().join("crates/model/tests/fixtures/llama")
}

fn tokenizer() -> TextTokenizer {
    TextTokenizer::from_dir(folder()).unwrap()
}

fn encoder() -> Encoder {
    let options = EncodeOptions { max_length: 100, ..EncodeOptions::default() };
    Encoder::new(tokenizer(), Template::None, options).unwrap()
}

#[test]
fn scores_and_embeddings() {
    let (dir, rows, model) = (tempfile::tempdir().unwrap(), Sums::default(), model());
    let stage = ScoreStage::new(dir.path().join("length"));
    let scores = stage.run(&Length(Unit::Characters), &rows, &mut NoProgress).unwrap();
    assert_eq!(scores.rows[12].scores[0].value(), Some(2.0));

    let params = ScoreParams { measures: Measures::ALL, shard_rows: 5, ..ScoreParams::default() };
    let params = ScoreParams { template: Template::None, max_length: 100, ..params };
    let ifd = IfdScorer::new(&*model, tokenizer(), params.clone()).unwrap();
    ifd.run(&rows, dir.path().join("ifd"), &mut NoProgress).unwrap();
    let scores = read_scores(dir.path().join("ifd"), params.ratio).unwrap();
    assert_eq!(scores.len(), ROWS);
    assert_eq!(scores[7].id.as_str(), "s7");

    let anchors = rows.read(&[1, 4]).unwrap();
    let golden =
        GoldenParams { template: Template::None, max_length: 100, ..GoldenParams::default() };
    let golden = GoldenScorer::new(&*model, tokenizer(), golden, &anchors).unwrap();
    let report = golden.run(&rows, dir.path().join("golden"), &mut NoProgress).unwrap();
    assert_eq!(report.rows, ROWS);

    let (encoder, params) = (encoder(), EmbedParams { shard_rows: 4, ..EmbedParams::default() });
    let embedder = Embedder::new(&*model, &encoder, &params).unwrap();
    embedder.run(&rows, dir.path().join("embeddings"), &mut NoProgress).unwrap();
    let found = Embeddings::open(dir.path().join("embeddings")).unwrap();
    assert_eq!(found.len(), ROWS);
    assert_eq!(found.ids().unwrap()[13], "s13");
}

#[test]
fn curvature_gradients_influence_and_less() {
    let (dir, rows, mut model) = (tempfile::tempdir().unwrap(), Sums::default(), model());
    let encoder = encoder();
    let encodings = Encodings::new(&rows, &encoder);
    let layers = LayerPattern::default().select(model.layers()).unwrap();
    let params = FitParams { part_samples: 5, ..FitParams::default() };
    let fit = CurvatureFit { model: &*model, layers: &layers, params, layers_at_once: None };
    fit.run(CurvatureKind::Ekfac, &encodings, dir.path(), &mut NoProgress).unwrap();

    let seeds = encodings.at(&[2, 3]).unwrap().read_all().unwrap().0;
    let stage = InfluenceStage::new(&*model, &layers);
    let place = dir.path().join("influence");
    let found = stage.run(&encodings, &seeds, &place, &mut NoProgress).unwrap();
    assert_eq!(found.table.candidates.len(), ROWS);
    assert_eq!(found.table.candidates[9].info.id.as_str(), "s9");

    let shape = model.shape();
    let projection = ProjectionSpec::default().build(&layers, 0, shape.kind, shape.device).unwrap();
    let params = PassParams { shard_rows: 4, ..PassParams::default() };
    let pass = GradientPass { model: &*model, layers: &layers, params };
    let sink = Sink::new(&projection, "gradients", dir.path().join("rows"), RowType::F16);
    let (stores, report) = pass.run(&encodings, &[sink], &mut NoProgress).unwrap();
    assert_eq!((report.rows, stores[0].gather(&[13, 0]).unwrap().size()[0]), (ROWS, 2));

    // The warm-up of LESS is fine-tuning.
    let mut lora = Lora::new(LoraParams { rank: 2, ..LoraParams::default() }, &*model).unwrap();
    let every = CheckpointParams { every: Every::Epochs(1), keep: 1, at_end: true };
    let mut checkpoints = Checkpoints::open(dir.path().join("warm"), folder(), every).unwrap();
    let params = TrainParams { epochs: 1, batch_size: 4, ..TrainParams::default() };
    let (kept, adapter) = (Some(&mut checkpoints), Some(&mut lora));
    let job = Job { checkpoints: kept, lora: adapter, ..Job::new(model.as_mut(), &encodings) };
    params.check().unwrap().run(job, &mut NoProgress).unwrap();
    let (_, folder) = checkpoints.list().unwrap().remove(0);
    let mut warm = WarmCheckpoint::open(folder, &*model).unwrap();
    let layers = warm.layers(&*model);
    let params = FeatureParams { projection: "sparse:64".parse().unwrap(), ..Default::default() };
    let features = warm.features(&layers, &params).unwrap();
    let adapted = warm.adapted(model.as_mut());
    let pass = GradientPass { model: &adapted, layers: &layers, params: PassParams::default() };
    let sink = Sink::new(&features, "less", dir.path().join("less"), RowType::F16);
    let (stores, _) = pass.run(&encodings, &[sink], &mut NoProgress).unwrap();
    assert_eq!(stores[0].gather(&[5]).unwrap().size(), [1, 64]);
    // The provenance of a store names the source as the source names itself.
    let manifest = stores[0].artifact().manifest();
    assert_eq!(manifest.field("source"), Some(&"sums".into()));
}

/// Fine-tunes on the rows of a task, and sees rows as embeddings.
struct Learner<'a> {
    rows: &'a Sums,
    encoder: &'a Encoder,
}

impl Trainer for Learner<'_> {
    fn description(&self) -> serde_json::Value {
        "fine-tuning".into()
    }
    fn train(&mut self, task: &Task<'_>) -> Result<Metrics, Failure> {
        let all = Encodings::new(self.rows, self.encoder);
        let mut model = model();
        let params = TrainParams { epochs: 1, batch_size: 2, ..TrainParams::default() };
        let report =
            params.check()?.train(model.as_mut(), &all.at(task.records)?, &mut NoProgress)?;
        model.parameters().save_pretrained(folder(), task.model)?;
        Ok(Metrics::from([("steps".to_owned(), report.steps as f64)]))
    }
}

struct Eyes<'a>(&'a Sums, &'a Encoder);

impl Viewer for Eyes<'_> {
    type Rows = Embeddings;
    fn description(&self) -> serde_json::Value {
        "uncertainty".into()
    }
    fn view(&mut self, sight: &Sight<'_>, need: Need) -> Result<View<Embeddings>, Failure> {
        let Need::Uncertainty(kind) = need else { return Err("only uncertainty".into()) };
        let options = LoadOptions { device: "cpu".parse()?, ..LoadOptions::default() };
        let model = load(sight.model, &options)?;
        let pass = UncertaintyParams { shard_rows: 5, ..UncertaintyParams::default() }.check()?;
        let rows = Encodings::new(self.0, self.1);
        let found = pass.run(&*model, &rows, sight.place, &mut NoProgress)?;
        Ok(View::Uncertainty(found.iter().map(|values| values.of(kind)).collect()))
    }
}

#[test]
fn rounds_of_training() {
    let (dir, rows, encoder) = (tempfile::tempdir().unwrap(), Sums::default(), encoder());
    let strategy = "entropy".parse().unwrap();
    let params = EvolParams { initial: 3, per_round: 2, rounds: 2, strategy, ..Default::default() };
    let (mut learner, mut eyes) =
        (Learner { rows: &rows, encoder: &encoder }, Eyes(&rows, &encoder));
    let out = dir.path().join("out");
    let evol = params.check().unwrap();
    let grown = evol.run(&rows, folder(), &out, &mut learner, &mut eyes, &mut NoProgress).unwrap();
    assert_eq!(grown.picks().count(), 7);
    assert!(grown.picks().all(|pick| pick.id.as_str() == format!("s{}", pick.index)));
}

/// Writes the same to everybody.
struct Tutor;

impl Teacher for Tutor {
    fn identity(&self) -> serde_json::Value {
        "tutor".into()
    }
    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        for (place, request) in requests.iter().enumerate() {
            let text = if request.messages[1].content.contains("[New Instruction]") {
                "Short.\n[New Instruction]\nAdd.\n[End]\n[New Answer]\n4\n[End]"
            } else {
                "Short.\n[Better Answer]\n44\n[End]"
            };
            let (text, usage) = (text.to_owned(), Usage::default());
            done(place, Ok(Reply { text, finish: Finish::Stop, usage, cached: false }))?;
        }
        Ok(())
    }
}

#[test]
fn reflection() {
    let (dir, rows, model) = (tempfile::tempdir().unwrap(), Sums::default(), model());
    let params =
        ScoreParams { template: Template::None, max_length: 100, ..ScoreParams::default() };
    let mut student = ScoringStudent::new(&*model, tokenizer(), &params).unwrap();
    let params = ReflectionParams { wave: 3, ..ReflectionParams::default() };
    let reflection = params.check(Prompts::built_in().unwrap()).unwrap();
    let journal: &Path = &dir.path().join("journal.jsonl");
    let mut run = || reflection.run(&rows, &Tutor, &mut student, journal, &mut NoProgress).unwrap();
    let found = run();
    assert_eq!(found.outcomes.len(), ROWS);
    assert_eq!(run().work.resumed, ROWS);
    assert!(fs::read_to_string(journal).unwrap().contains("\"sums\""));
}
