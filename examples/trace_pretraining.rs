//! Which pre-training texts are behind what a fine-tuned model says? Multi-stage influence (arXiv
//! 2007.09081, one architecture throughout).
//!
//! ```text
//! cargo run --release -p tamis-examples --example trace_pretraining -- \
//!     --pretrained BASE --finetuned TUNED --template alpaca --answers answers.jsonl \
//!     --finetuning-data instructions.jsonl --texts texts.jsonl --budget 50 --out out/trace
//! ```
//!
//! The gradient of each answer is taken at the fine-tuned model and divided by the curvature of
//! fine-tuning: what is left is how the answer depends on the weights that fine-tuning began with. That
//! is divided by the curvature of pre-training, at the pre-trained model, and compared with the
//! gradient of every text there. A text with a positive score made the answer likelier.
//!
//! You should see a bar for each stage, then a short table, and in `--out`: `selected.jsonl` (the
//! highest texts as they came), `scores.jsonl`, `run.json` and `report.html`. Run the same command
//! again after an interruption and it goes on where it was.

use std::num::NonZeroUsize;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use serde_json::{Value, json};
use tamis::artifact::Fingerprint;
use tamis::dataset::Encodings;
use tamis::influence::{Seeds, stages};
use tamis::kfac::{Damping, Fitted};
use tamis::model::{CausalLm, DeviceSpec, configure_threads};
use tamis::report::RunRecord;
use tamis_examples::trace_pretraining::{Flags, Found, Stage};
use tamis_examples::{check_lengths, refuse_overwriting, say_results, write_outputs};

/// Result files, which no input may be.
const WRITTEN: [&str; 4] = ["selected.*", "scores.jsonl", "run.json", "report.html"];

fn main() -> Result<()> {
    let flags = Flags::parse();
    let threads = configure_threads(flags.threads.map(NonZeroUsize::get))?;
    let mut record = RunRecord::start("trace_pretraining", env!("CARGO_PKG_VERSION"));
    record.set_parameters(&flags)?;
    record.seeds.set("seed", flags.seed);
    record.environment.threads = Some(threads.count);

    // Data.
    let texts = flags.open_texts()?;
    let (asked, tuning) =
        (flags.text.open(&flags.answers)?, flags.text.open(&flags.finetuning_data)?);
    let inputs =
        [&flags.pretrained, &flags.finetuned, &flags.answers, &flags.finetuning_data, &flags.texts];
    for input in inputs {
        refuse_overwriting(input, &flags.out, &WRITTEN)?;
        record.add_input(input)?;
    }
    let rows = texts.len();
    ensure!(
        (1..=rows).contains(&flags.budget),
        "--budget is {}, but must be between 1 and the {rows} texts",
        flags.budget
    );
    let late_encoder = flags.text.encoder(&flags.model(&flags.finetuned))?;
    let early_encoder = flags.texts_encoder()?;
    let tuned_on = Encodings::new(&tuning, &late_encoder);
    let pool = Encodings::new(&texts, &early_encoder);
    let (answers, unusable) = Encodings::new(&asked, &late_encoder).read_all()?;
    if let Some(answer) = unusable.first() {
        let row = asked.row(answer.index).unwrap_or(answer.index);
        bail!("answer {} (row {row}) cannot be used: {}", answer.id, answer.reason);
    }
    let ids: Vec<_> = answers.iter().map(|answer| answer.id.clone()).collect();

    // The two models, which must have the same layers.
    let pretrained = flags.model(&flags.pretrained).load()?;
    let finetuned = flags.model(&flags.finetuned).load()?;
    record.environment.device = Some(DeviceSpec::from(pretrained.shape().device).to_string());
    check_lengths(&tuned_on, &answers, finetuned.shape().max_positions)?;
    check_lengths(&pool, &[], pretrained.shape().max_positions)?;
    let before = flags.layers.select(pretrained.layers())?;
    let after = flags.layers.select(finetuned.layers())?;
    stages::same_layers(&after, &before)?;
    let early = Stage {
        name: "pretrained",
        flags: &flags,
        model: &pretrained,
        layers: &before,
        data: &pool,
    };
    let late =
        Stage { name: "finetuned", model: &finetuned, layers: &after, data: &tuned_on, ..early };

    // 1. A curvature for each stage, of its own data at its own weights.
    let of_tuning = late.fit(&mut record)?;
    let of_texts = early.fit(&mut record)?;

    // 2. Answers through both, against every text.
    let of = |stage: &Stage<'_>, fitted: &Fitted, damping: Damping| -> Result<Value> {
        Ok(json!({
            "model": stage.model.fingerprint()?,
            "curvature": fitted.fingerprint(),
            "damping": damping,
        }))
    };
    let made_from: Fingerprint = json!({
        "queries": Encodings::of(&answers).fingerprint()?,
        "finetuned": of(&late, &of_tuning, flags.late_damping())?,
        "pretrained": of(&early, &of_texts, flags.damping)?,
    })
    .into();
    let tuned = of_tuning.curvature(flags.late_damping())?;
    let table = early.scores(&pool, &ids, made_from.clone(), &mut record, |_| {
        let seeds = Seeds::new(&late.pass(), &answers, tuned.as_ref())?.onto(&before)?;
        Ok(seeds.solve(of_texts.curvature(flags.damping)?.as_ref())?)
    })?;
    let last = flags.last_stage.then(|| {
        late.scores(&pool, &ids, made_from, &mut record, |pass| {
            Ok(Seeds::new(pass, &answers, tuned.as_ref())?)
        })
    });
    let last = last.transpose()?;

    // 3. The highest.
    let found = Found {
        texts: &texts,
        answers: &asked,
        table: &table,
        last: last.as_ref(),
        by: flags.by,
        budget: flags.budget,
    };
    let lines = found.lines();
    found.count(&lines, &mut record)?;
    let chosen: Vec<usize> = (0..lines.len()).filter(|&n| lines[n].selected).collect();
    let mut said = format!("{} texts scored for {} answers", table.candidates.len(), ids.len());
    if let Some(compared) = found.comparison(&lines)? {
        said = format!("{said}\n{compared}");
    }
    let page = |record: &RunRecord| found.page(&lines, record);
    let exports = flags.exports()?;
    let files = write_outputs(&flags.out, &texts, &chosen, &lines, &exports, record, page)?;
    say_results(said, &files)
}
