//! A project of its own on the crates that need no LibTorch, with rows and scores of its own: answers that say something,
//! far from each other.
use std::error::Error;

use tamis::artifact::{Fingerprint, NoProgress};
use tamis::dataset::{DatasetError, Sample, Source, Subset};
use tamis::kcenter::{KCenterParams, Metric};
use tamis::selection::{BoxError, Filter, RowScores, Score, ScoreStage, Scorer};
use tamis::selection::vectors::ndarray::Array2;

/// Rows that are made as they are asked for.
struct Made(usize);

impl Source for Made {
    fn len(&self) -> usize {
        self.0
    }

    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        let row = |&n: &usize| {
            let answer = "wort ".repeat(n % 8);
            Sample::instruction(n.to_string(), answer.trim()).with_id(format!("made-{n}"))
        };
        Ok(positions.iter().map(row).collect())
    }

    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        Ok(Fingerprint::from(format!("{} rows of words", self.0)))
    }
}

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
    let pool = Made(40);
    let scores = ScoreStage::new("words").run(&Words, &pool, &mut NoProgress)?;
    let rows = Subset::all(&pool).at(scores.keep("words", &[Filter::AtLeast(2.0)])?.positions())?;

    let samples = rows.read_range(0..rows.len())?;
    let places = samples.iter().zip(rows.positions());
    let points: Vec<f32> = places.flat_map(|(s, &at)| [words(s) as f32, at as f32]).collect();
    let points = Array2::from_shape_vec((rows.len(), 2), points)?;
    let kcenter = KCenterParams { budget: 5, metric: Metric::Euclidean }.check()?;
    let picks = kcenter.pick(&points.view(), &[])?.indices();
    let chosen: Vec<String> =
        picks.iter().map(|&pick| samples[pick].id.as_str().to_owned()).collect();
    std::fs::write("chosen.txt", chosen.join("\n"))?;
    println!("{} of {} rows, {} resumed", chosen.len(), rows.len(), scores.resumed);
    Ok(())
}
