//! Curvature and pairwise influence beside kronfluence: the same weights, tokens and labels, by
//! turns in one run, every command in a process of its own.
//!
//! ```text
//! cargo run --release -p tamis-benches --bin against-kronfluence -- run --python PYTHON \
//!     [--model FOLDER] [--data short|blocks|FILE] [--train N] [--queries N] [--layers PATTERN]
//! ```
//!
//! `PYTHON` has what `peers/requirements.txt` lists. Without `--model` the model is the
//! 4.4-million-parameter Llama of `src/lib.rs`. Prints a table of times and memory and one of how far
//! the results are apart; see `peers/README.md` for what is measured and how both are brought to
//! one unit.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod compare;
mod here;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, Parser};
use tamis::dataset::Encoded;
use tamis::model::{DeviceSpec, LayerPattern, LoadOptions, configure_threads, load};
use tamis_benches::write_llama;

use crate::here::Answer;
use crate::work::{Batches, Samples, Sizes, Work};

/// Commands of both sides in the order they need each other's results.
const COMMANDS: [&str; 4] = ["factors", "identity", "kfac", "ekfac"];

/// Curvature and pairwise influence beside kronfluence
#[derive(Parser)]
enum Task {
    /// Measures and compares
    Run(Box<Run>),
    /// Our side of one command, answering as the Python side does
    Here { folder: PathBuf, command: String, threads: usize },
}

#[derive(Args)]
struct Run {
    /// A Python with what peers/requirements.txt lists
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// A model folder; a small Llama with random weights if left out
    #[arg(long)]
    model: Option<PathBuf>,
    /// `short`, `blocks`, or a file of translation pairs
    #[arg(long, default_value = "short")]
    data: String,
    #[command(flatten)]
    sizes: Sizes,
    /// Layers by name, as a regular expression; all but the head if left out
    #[arg(long)]
    layers: Option<LayerPattern>,
    /// Whether kronfluence's loss reads `all` logits, as in its examples, or those at `targets`
    #[arg(long, default_value = "all", value_parser = ["all", "targets"])]
    logits: String,
    /// Whether kronfluence's batches are padded to the longest of the `batch` or to the `longest` sample
    #[arg(long, default_value = "batch", value_parser = ["batch", "longest"])]
    padding: String,
    /// kronfluence's samples a batch, for covariances and for scores; tried out if left out
    #[arg(long, num_args = 2)]
    batches: Option<Vec<usize>>,
    /// Times every command is run on either side
    #[arg(long, default_value_t = 1)]
    rounds: usize,
    /// Threads of either side
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Which of the commands `factors`, `identity`, `kfac`, `ekfac` are run
    #[arg(long, value_delimiter = ',', default_values_t = COMMANDS.map(str::to_owned))]
    commands: Vec<String>,
    /// A folder to work in, kept; with results of earlier commands if they are left out here
    #[arg(long)]
    work: Option<PathBuf>,
}

fn main() {
    match Task::parse() {
        Task::Here { folder, command, threads } => {
            configure_threads(Some(threads)).expect("setting the threads");
            println!("{}", serde_json::to_string(&here::run(&folder, &command)).unwrap());
        }
        Task::Run(run) => run.run(),
    }
}

impl Run {
    fn run(&self) {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = self.work.clone().unwrap_or_else(|| temporary.path().to_owned());
        self.prepare(&folder);

        let mut answers: BTreeMap<&str, Vec<(Answer, Answer)>> = BTreeMap::new();
        for round in 0..self.rounds {
            for command in COMMANDS.iter().filter(|c| self.commands.iter().any(|w| w == *c)) {
                let ours = || ask(&mut self.ours(&folder, command));
                let theirs = || ask(&mut self.theirs(&folder, command));
                // Whoever begins may find the machine in another state.
                let pair = if round % 2 == 0 {
                    let theirs = theirs();
                    (ours(), theirs)
                } else {
                    (ours(), theirs())
                };
                answers.entry(command).or_default().push(pair);
            }
        }
        print_times(&answers);
        self.print_differences(&folder);
    }

    /// Writes the work into `folder`, with batch sizes that suit kronfluence.
    fn prepare(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("the folder to work in");
        let model = self.model.clone().unwrap_or_else(|| {
            let model = folder.join("model");
            std::fs::create_dir_all(&model).expect("a folder for the model");
            write_llama(&model);
            model
        });
        let options = LoadOptions { device: DeviceSpec::Cpu, ..LoadOptions::default() };
        let loaded = load(&model, &options).expect("a model");
        let pattern = self.layers.clone().unwrap_or_default();
        let layers = pattern.select(loaded.layers()).expect("layers of the model");
        let samples = Samples::find(&self.data, &model, &self.sizes, loaded.shape().vocab_size);
        samples.write(folder);
        let parameters: i64 = layers.iter().map(|l| l.in_features * l.out_features).sum();
        let tokens = |part: &[Encoded]| part.iter().map(Encoded::len).sum::<usize>();
        let targets: usize = samples.train.iter().map(Encoded::targets).sum();
        println!(
            "{} layers of {:.1} million weights; {} samples of {} tokens, {targets} of them targets; {} queries of {} tokens",
            layers.len(),
            parameters as f64 / 1e6,
            samples.train.len(),
            tokens(&samples.train),
            samples.queries.len(),
            tokens(&samples.queries),
        );
        let given = self.batches.as_ref().map(|b| Batches { covariances: b[0], scores: b[1] });
        let mut work = Work {
            model: std::fs::canonicalize(model).expect("the model folder"),
            layers: layers.into_iter().map(|layer| layer.name).collect(),
            logits: self.logits.clone(),
            padding: self.padding.clone(),
            batches: given.clone().unwrap_or(Batches { covariances: 1, scores: 1 }),
        };
        work.write(folder);
        if given.is_none() {
            work.batches = ask(&mut self.theirs(folder, "batches"));
            work.write(folder);
        }
        println!(
            "{}, {} logits, padded to the longest: {}\n",
            work.batches, self.logits, self.padding
        );
    }

    fn ours(&self, folder: &Path, command: &str) -> Command {
        let mut program = Command::new(std::env::current_exe().expect("this program"));
        program.arg("here").arg(folder).arg(command).arg(self.threads.to_string());
        program
    }

    fn theirs(&self, folder: &Path, command: &str) -> Command {
        let mut program = Command::new(&self.python);
        program
            .args([
                "-W",
                "ignore",
                concat!(env!("CARGO_MANIFEST_DIR"), "/peers/kronfluence_side.py"),
            ])
            .arg(folder)
            .arg(command)
            .arg(self.threads.to_string());
        program
    }

    fn print_differences(&self, folder: &Path) {
        let (_, layers) = here::model_of(&Work::read(folder));
        println!("\n| compared | largest relative error | of |\n| --- | ---: | --- |");
        let mut found = Vec::new();
        let did = |command: &str| self.commands.iter().any(|c| c == command);
        if did("factors") || did("ekfac") {
            found.extend(compare::curvature(folder, &layers, did("ekfac")));
        }
        let scored = self.commands.iter().filter(|c| *c != "factors");
        found.extend(scored.map(|command| compare::scores(folder, command, &layers)));
        for apart in found {
            println!("| {} | {:.1e} | {} |", apart.what, apart.error, apart.at);
        }
    }
}

/// The last line a program prints, read as JSON.
fn ask<T: serde::de::DeserializeOwned>(program: &mut Command) -> T {
    let output = program.stderr(Stdio::inherit()).output().expect("starting a program");
    assert!(output.status.success(), "{program:?} ended with {}", output.status);
    let text = String::from_utf8(output.stdout).expect("text");
    serde_json::from_str(text.lines().last().expect("an answer")).expect("an answer as JSON")
}

fn print_times(answers: &BTreeMap<&str, Vec<(Answer, Answer)>>) {
    println!(
        "| command: stage | here, seconds (of processors) | kronfluence | ÷ | ÷ of processors | \
         memory here, MB (model loaded) | kronfluence | ÷ |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    );
    for command in COMMANDS {
        let Some(rounds) = answers.get(command) else { continue };
        let middle = |pick: &dyn Fn(&(Answer, Answer)) -> f64| median(rounds.iter().map(pick));
        let megabytes = |bytes: f64| format!("{:.0}", bytes / 1e6);
        let (peak, their_peak) = (middle(&|r| r.0.peak as f64), middle(&|r| r.1.peak as f64));
        let memory = format!(
            "{} ({}) | {} ({}) | {:.2}",
            megabytes(peak),
            megabytes(middle(&|r| r.0.loaded as f64)),
            megabytes(their_peak),
            megabytes(middle(&|r| r.1.loaded as f64)),
            their_peak / peak
        );
        for stage in rounds[0].0.stages.keys() {
            let ours = |r: &(Answer, Answer)| r.0.stages[stage];
            let theirs = |r: &(Answer, Answer)| r.1.stages[stage];
            println!(
                "| {command}: {stage} | {:.2} ({:.2}) | {:.2} ({:.2}) | {:.2} | {:.2} | {memory} |",
                middle(&|r| ours(r).seconds),
                middle(&|r| ours(r).processor),
                middle(&|r| theirs(r).seconds),
                middle(&|r| theirs(r).processor),
                middle(&|r| theirs(r).seconds / ours(r).seconds),
                middle(&|r| theirs(r).processor / ours(r).processor),
            );
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
