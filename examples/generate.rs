//! Lets a model answer the questions of a data file.
//!
//! ```text
//! cargo run --release -p tamis-examples --example generate -- \
//!     --model MODEL --input questions.jsonl --output answers.jsonl
//! ```
//!
//! The input is any data file that the other programs read (translation pairs, instructions, chats,
//! Parquet); answers in it are not looked at and may be missing. The template makes a prompt of each
//! row, the model continues it: by the most probable token, by lot (`--temperature`, `--top-p`), or by
//! beam search (`--beams`).
//!
//! You should see a progress bar, and then one line of JSON a row in `--output`: `id`, `index`,
//! `output` (the answer), `finish` (`stop`, or `length` if it was cut), `tokens` and `log_prob` (of the
//! answer, in nats). `--text FILE` writes the bare answers, one a line, for `evaluate`.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde::Serialize;
use tamis::artifact::{Progress, Stage, write_atomic};
use tamis::finetune::Lora;
use tamis::model::{CausalLm, DecodingStrategy, Finish, GenerateParams, NoTap, configure_threads};
use tamis::report::write_jsonl;
use tamis_examples::{Bars, ModelFlags, TextFlags, one_line, same_file, say};

/// Let a model answer the questions of a data file.
#[derive(Parser, Clone, Debug)]
#[command(version)]
struct Flags {
    #[command(flatten)]
    model: ModelFlags,
    /// PEFT folder with a LoRA adapter that is put on the model
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    #[command(flatten)]
    text: TextFlags,
    /// Rows to answer
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Where the answers go, one line of JSON a row
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
    /// Where the bare answers go as well, one a line (line breaks inside become spaces)
    #[arg(long = "text", value_name = "FILE")]
    lines: Option<PathBuf>,
    /// Only the first so many rows
    #[arg(long)]
    limit: Option<usize>,
    /// Longest answer in tokens
    #[arg(long, default_value_t = 128)]
    max_new_tokens: usize,
    /// Beam search with so many hypotheses
    #[arg(long, conflicts_with = "temperature")]
    beams: Option<NonZeroUsize>,
    /// Beam search: hypotheses are compared by log-probability ÷ length to this power
    #[arg(long, default_value_t = 1.0, requires = "beams", allow_negative_numbers = true)]
    length_penalty: f64,
    /// Beam search: stop as soon as enough hypotheses are complete
    #[arg(long, requires = "beams")]
    early_stopping: bool,
    /// Draw tokens by lot; below 1 keeps closer to the most probable ones
    #[arg(long)]
    temperature: Option<f64>,
    /// Draw only among the most probable tokens with this much probability together
    #[arg(long, default_value_t = 1.0, requires = "temperature")]
    top_p: f64,
    /// Draw only among so many of the most probable tokens; 0 for all
    #[arg(long, default_value_t = 0, requires = "temperature")]
    top_k: usize,
    /// Seed of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Token that ends an answer, such as `<|im_end|>`; may be given more than once
    /// [default: the tokenizer's end-of-sequence token]
    #[arg(long, value_name = "TOKEN")]
    stop: Vec<String>,
    /// Tokens, prompts and answers, in memory at a time
    #[arg(long, default_value_t = 16_384)]
    token_budget: usize,
    /// CPU threads [default: all]
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

/// One line of the output.
#[derive(Serialize)]
struct Answer {
    id: String,
    index: usize,
    output: String,
    finish: Finish,
    tokens: usize,
    log_prob: f64,
}

impl Flags {
    fn strategy(&self) -> DecodingStrategy {
        let (length_penalty, early_stopping) = (self.length_penalty, self.early_stopping);
        match (self.beams, self.temperature) {
            (Some(beams), _) => {
                DecodingStrategy::Beam { beams: beams.get(), length_penalty, early_stopping }
            }
            (None, Some(temperature)) => DecodingStrategy::Sample {
                temperature,
                top_p: self.top_p,
                top_k: self.top_k,
                seed: self.seed,
            },
            (None, None) => DecodingStrategy::Greedy,
        }
    }
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let outputs: Vec<&PathBuf> = [&flags.output].into_iter().chain(&flags.lines).collect();
    for (place, output) in outputs.iter().enumerate() {
        let same = |other: &&PathBuf| same_file(output, other);
        if let Some(other) =
            [&flags.input].into_iter().chain(outputs[..place].iter().copied()).find(same)
        {
            bail!("{} would be overwritten with the answers", other.display());
        }
        // Found now rather than after hours of answering.
        let folder = output.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        ensure!(folder.is_dir(), "{}: there is no folder {}", output.display(), folder.display());
    }

    // Prompts.
    let rows = flags.text.open_questions(&flags.input)?;
    let encoder = flags.text.encoder(&flags.model)?;
    let tokenizer = encoder.tokenizer();
    let samples = rows.read_range(0..flags.limit.unwrap_or(rows.len()).min(rows.len()))?;
    let prompts: Vec<Vec<u32>> =
        samples.iter().map(|sample| encoder.prompt(sample)).collect::<Result<_, _>>()?;
    let stop = if flags.stop.is_empty() {
        tokenizer.eos_id().into_iter().collect()
    } else {
        let id = |token: &String| {
            tokenizer.token_id(token).with_context(|| format!("--stop: no token is {token}"))
        };
        flags.stop.iter().map(id).collect::<Result<_>>()?
    };

    // Answers.
    let mut model = flags.model.load()?;
    if let Some(dir) = &flags.adapter {
        let adapter = Lora::load(dir, &model)?;
        model.attach(adapter);
    }
    let longest = model.shape().max_positions;
    for (sample, prompt) in samples.iter().zip(&prompts) {
        ensure!(
            prompt.len() < longest,
            "row {} (id {}): its prompt has {} tokens, but the model reads at most {longest} with the \
             answer; leave such rows out",
            sample.index,
            sample.id,
            prompt.len()
        );
    }
    let generator = GenerateParams {
        max_new_tokens: flags.max_new_tokens,
        strategy: flags.strategy(),
        stop,
        token_budget: flags.token_budget,
    }
    .check()?;
    let mut bars = Bars::default();
    Progress::start(&mut bars, &Stage::new("generate", "prompts", prompts.len()));
    let mut before = 0;
    let answers = generator.generate(&model, &prompts, &mut NoTap, &mut |done| {
        bars.advance((done - before) as u64);
        before = done;
    })?;
    bars.finish();

    // What is written.
    let mut lines = Vec::with_capacity(answers.len());
    for (sample, answer) in samples.iter().zip(&answers) {
        lines.push(Answer {
            id: sample.id.to_string(),
            index: sample.index,
            output: tokenizer.decode(&answer.ids)?.trim().to_owned(),
            finish: answer.finish,
            tokens: answer.ids.len(),
            log_prob: answer.log_prob,
        });
    }
    write_jsonl(&flags.output, &lines)?;
    if let Some(file) = &flags.lines {
        let text: String = lines.iter().map(|line| one_line(&line.output) + "\n").collect();
        write_atomic(file, text.as_bytes())?;
    }
    let cut = lines.iter().filter(|line| line.finish == Finish::Length).count();
    say(format_args!("{} answers in {}, {cut} cut\n", lines.len(), flags.output.display()))
}
