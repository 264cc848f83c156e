//! A project of its own with a model: a filter by IFD, influence on a seed for what is left.
use std::error::Error;

use tamis::artifact::NoProgress;
use tamis::dataset::{
    Dataset, EncodeOptions, Encoder, Encodings, ReadOptions, Source, Subset, Template,
    TextTokenizer,
};
use tamis::ifd_scoring::{ScoreParams, IfdScorer};
use tamis::influence::{InfluenceStage, Rule};
use tamis::model::{LayerPattern, LoadOptions, load};
use tamis::selection::{Filter, ScoreStage, Take};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: PROGRAM MODEL")?;
    let model = load(&folder, &LoadOptions { device: "cpu".parse()?, ..LoadOptions::default() })?;
    let options = EncodeOptions {
        max_length: 100,
        target_language: Some("English".to_owned()),
        ..EncodeOptions::default()
    };
    let encoder = Encoder::new(TextTokenizer::from_dir(&folder)?, Template::None, options)?;
    let lines: Vec<String> = (0..12).map(|n| format!("le chat {n}\tthe cat {}", n * n)).collect();
    std::fs::write("pool.tsv", lines.join("\n"))?;
    std::fs::write("seeds.tsv", "le chat\tthe cat")?;
    let open = |file| Dataset::open(file, &ReadOptions::default());
    let (pool, seeds) = (open("pool.tsv")?, open("seeds.tsv")?);

    let ifd = IfdScorer::new(&*model, TextTokenizer::from_dir(&folder)?, ScoreParams::like(&encoder))?;
    let rows = Subset::all(&pool);
    let scores = ScoreStage::new("ifd").run(&ifd, &rows, &mut NoProgress)?;
    let rows = rows.at(scores.keep("ifd", &[Filter::Highest(Take::Share(0.5))])?.positions())?;

    let (seeds, _) = Encodings::new(&seeds, &encoder).read_all()?;
    let layers = LayerPattern::default().select(model.layers())?;
    let influence = InfluenceStage::new(&*model, &layers).run(
        &Encodings::new(&rows, &encoder),
        &seeds,
        "influence".as_ref(),
        &mut NoProgress,
    )?;
    let helpful = Rule::Normalised.apply(&influence.table, 2, 2)?;
    let place = |&at: &usize| rows.positions()[influence.table.candidates[at].info.index];
    let chosen: Vec<usize> = helpful.positions.iter().map(place).collect();
    pool.write_rows(&chosen, "out".as_ref(), "selected")?;
    println!("{} of {} rows, {} resumed", chosen.len(), rows.len(), scores.resumed);
    Ok(())
}
