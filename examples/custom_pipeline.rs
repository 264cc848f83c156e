//! A pipeline of your own: a scorer written here, IFD, influence on a few seeds, k-center.
//!
//! ```text
//! cargo run --release -p tamis-examples --example custom_pipeline -- \
//!     --model MODEL --pool pool.jsonl --seeds seeds.jsonl --budget 200 --out out/mine
//! ```
//!
//! Cheap stages filter what dear ones see. You should see a bar for each stage and what it left, and in `--out` a folder for
//! each and `selected.jsonl`. Killed at any moment, the same command goes on; finished stages are only read.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use tamis::artifact::Fingerprint;
use tamis::dataset::{Encodings, Sample, Source, Subset};
use tamis::ifd_scoring::{IfdScorer, ScoreParams};
use tamis::influence::{InfluenceStage, Rule};
use tamis::kcenter::{KCenterParams, Metric};
use tamis::model::{CausalLm, LayerPattern};
use tamis::selection::{BoxError, Filter, RowScores, Score, ScoreStage, Scorer, Take};
use tamis_examples::{Bars, ModelFlags, TextFlags, note, say};

/// Sifts a pool by words, IFD and influence, and spreads the budget over what is left
#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    model: ModelFlags,
    #[command(flatten)]
    text: TextFlags,
    #[arg(long, help = "Rows to choose from")]
    pool: PathBuf,
    #[arg(long, help = "A few samples of the quality and kind that is wanted")]
    seeds: PathBuf,
    #[arg(long, help = "Rows to choose")]
    budget: usize,
    #[arg(long, help = "Folder for the stages and the chosen rows")]
    out: PathBuf,
}

/// A scorer of your own: the number of words of the answer.
struct Words;

impl Scorer for Words {
    fn columns(&self) -> Vec<String> {
        vec!["words".to_owned()]
    }
    fn fingerprint(&self) -> Result<Fingerprint, BoxError> {
        Ok(Fingerprint::from("split at white space"))
    }
    fn score(&self, rows: &[Sample]) -> Result<Vec<RowScores>, BoxError> {
        let words = |sample: &Sample| sample.content.answer().split_whitespace().count();
        Ok(rows.iter().map(|sample| vec![Score::Value(words(sample) as f64)]).collect())
    }
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let (out, bars) = (&flags.out, &mut Bars::default());
    let (pool, seeds) = (flags.text.open(&flags.pool)?, flags.text.open(&flags.seeds)?);
    let (model, encoder) = (flags.model.load()?, flags.text.encoder(&flags.model)?);

    // 1. Words: answers that say something.
    let rows = Subset::all(&pool);
    let scores = ScoreStage::new(out.join("1-words")).run(&Words, &rows, bars)?;
    let rows = rows.at(scores.keep("words", &[Filter::AtLeast(3.0)])?.positions())?;

    // 2. IFD: the half that there is most to learn from.
    let ifd = IfdScorer::new(&model, model.tokenizer()?.clone(), ScoreParams::like(&encoder))?;
    let stage = ScoreStage::new(out.join("2-ifd"));
    let scores = stage.run(&ifd, &rows, bars)?;
    let filters = [Filter::Below(1.0), Filter::Highest(Take::Share(0.5))];
    let rows = rows.at(scores.keep("ifd", &filters)?.positions())?;
    note!("{} of {} rows pass the filters", rows.len(), pool.len());

    // 3. Influence, with K-FAC: three times as many as are wanted, those that help the seeds most.
    let (seeds, unusable) = Encodings::new(&seeds, &encoder).read_all()?;
    ensure!(unusable.is_empty(), "seeds that cannot be used: {unusable:?}");
    let (left, dir) = (Encodings::new(&rows, &encoder), out.join("3-influence"));
    let layers = LayerPattern::default();
    let layers = layers.select(model.layers())?;
    let stage = InfluenceStage::new(&model, &layers);
    let influence = stage.run(&left, &seeds, &dir, bars)?;
    let helpful = Rule::Normalised.apply(&influence.table, flags.budget, 3 * flags.budget)?;

    // 4. k-center: far from each other by their gradients. Takes no time, so nothing is stored.
    let kcenter = KCenterParams { budget: flags.budget, metric: Metric::Cosine }.check()?;
    let gradients = influence.gradients_at(&helpful.positions)?;
    let picks = kcenter.pick_on_device(&gradients, &[])?.indices();
    let picks: Vec<usize> = picks.into_iter().map(|pick| helpful.positions[pick]).collect();
    let place = |&pick: &usize| rows.positions()[influence.table.candidates[pick].info.index];
    let chosen: Vec<usize> = picks.iter().map(place).collect();
    let files = pool.write_rows(&chosen, out, "selected")?;
    say(format_args!("{} rows chosen: {}\n", chosen.len(), files[0].display()))
}
