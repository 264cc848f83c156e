//! A project of its own on the crates that need no LibTorch: rows that say something, far from each other.
use std::error::Error;

use tamis::artifact::{Fingerprint, NoProgress};
use tamis::dataset::{Dataset, ReadOptions, Sample, Source, Subset};
use tamis::kcenter::{KCenterParams, Metric, ndarray::Array2};
use tamis::selection::{BoxError, Filter, RowScores, Score, ScoreStage, Scorer};

struct Words;

fn words(sample: &Sample) -> f64 {
    sample.content.answer().split_whitespace().count() as f64
}

impl Scorer for Words {
    fn columns(&self) -> Vec<String> {
        vec!["words".to_owned()]
    }

    fn fingerprint(&self) -> Result<Fingerprint, BoxError> {
        Ok(Fingerprint::from("split at white space"))
    }

    fn score(&self, rows: &[Sample]) -> Result<Vec<RowScores>, BoxError> {
        Ok(rows.iter().map(|sample| vec![Score::Value(words(sample))]).collect())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let lines: Vec<String> =
        (0..40).map(|n| format!("{n}\t{}", "wort ".repeat(n % 8).trim())).collect();
    std::fs::write("pool.tsv", lines.join("\n"))?;
    let pool = Dataset::open("pool.tsv", &ReadOptions::default())?;

    let scores = ScoreStage::new("words").run(&Words, &pool, &mut NoProgress)?;
    let rows = Subset::all(&pool).at(scores.keep("words", &[Filter::AtLeast(2.0)])?.positions())?;

    let samples = rows.read(0..rows.len())?;
    let points: Vec<f32> = samples.iter().flat_map(|s| [words(s) as f32, s.index as f32]).collect();
    let points = Array2::from_shape_vec((rows.len(), 2), points)?;
    let kcenter = KCenterParams { budget: 5, metric: Metric::Euclidean }.check()?;
    let picks = kcenter.pick(&points.view(), &[])?.indices();
    let chosen: Vec<usize> = picks.iter().map(|&pick| rows.positions()[pick]).collect();
    let files = pool.write_rows(&chosen, "out".as_ref(), "selected")?;
    println!("{} of {} rows, {} files", chosen.len(), rows.len(), files.len());
    Ok(())
}
