//! The scorer as a stage of a pipeline, and rows that are in no file.

use tamis_artifact::{Fingerprint, NoProgress};
use tamis_dataset::{DatasetError, Sample, Source};
use tamis_ifd_scoring::{IfdScorer, Measure, Measures, Ratio, ScoreParams, read_scores};
use tamis_model::DType;
use tamis_selection::{Filter, Score, ScoreStage};

use crate::common::{model, tokenizer};
use crate::store::params;

/// Sums, made as they are asked for; every fourth without an answer.
struct Sums(usize);

impl Source for Sums {
    fn len(&self) -> usize {
        self.0
    }
    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        let sample = |&n: &usize| {
            let answer = if n % 4 == 1 { String::new() } else { (2 * n).to_string() };
            Sample::instruction(format!("{n} + {n}"), answer).with_id(format!("sum-{n}"))
        };
        Ok(positions.iter().map(sample).collect())
    }
    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        Ok(Fingerprint::from(format!("sums up to {}", self.0)))
    }
}

#[test]
fn all_measures_come_from_one_pass() {
    let folder = tempfile::tempdir().unwrap();
    let model = model("begins", DType::F32);
    let scorer = IfdScorer::new(model.as_ref(), tokenizer("begins"), params()).unwrap();
    // The same shards, so the same batches and the same numbers.
    let stage = ScoreStage::new(folder.path().join("stage")).shard_rows(params().shard_rows);
    let scores = stage.run(&scorer, &Sums(10), &mut NoProgress).unwrap();
    assert_eq!(scores.columns, ["ppl_cond", "ppl_direct", "ifd", "r_ifd"]);
    let terms = folder.path().join("terms");
    scorer.run(&Sums(10), &terms, &mut NoProgress).unwrap();
    let direct = read_scores(&terms, Ratio::Perplexity).unwrap();
    assert_eq!((scores.rows.len(), direct.len()), (10, 10));
    for (row, direct) in scores.rows.iter().zip(&direct) {
        assert_eq!(row.id, direct.id);
        for (score, measure) in row.scores.iter().zip(Measure::ALL) {
            let measured = direct.measure(measure);
            assert_eq!(score.value(), measured.value());
            assert_eq!(score.reason(), measured.reason());
        }
    }
    let missing = |at: usize| matches!(scores.rows[at].scores[2], Score::Missing(_));
    assert!((0..10).all(|at| missing(at) == (at % 4 == 1)));
    let ifd: Vec<f64> = (0..10).filter_map(|at| scores.rows[at].scores[2].value()).collect();
    let kept = scores.keep("ifd", &[Filter::Below(1.0)]).unwrap();
    assert_eq!(kept.count(), ifd.iter().filter(|&&ifd| ifd < 1.0).count());

    // The ratio decides scores, if not terms.
    let loss = ScoreParams { ratio: Ratio::Loss, ..params() };
    let loss = IfdScorer::new(model.as_ref(), tokenizer("begins"), loss).unwrap();
    let error = stage.run(&loss, &Sums(10), &mut NoProgress).unwrap_err().to_string();
    assert!(error.contains("ratio"), "{error}");
}

#[test]
fn columns_are_the_measures_asked_for() {
    let model = model("begins", DType::F32);
    let nothing = Measures { ppl: false, ifd: false, r_ifd: false };
    for (measures, columns) in [
        (Measures { ppl: true, ..nothing }, &["ppl_cond"][..]),
        (Measures { ifd: true, ..nothing }, &["ppl_cond", "ppl_direct", "ifd"]),
        (Measures { r_ifd: true, ..nothing }, &["r_ifd"]),
    ] {
        let params = ScoreParams { measures, ..params() };
        let scorer = IfdScorer::new(model.as_ref(), tokenizer("begins"), params).unwrap();
        assert_eq!(tamis_selection::Scorer::columns(&scorer), columns);
        let rows = Sums(3).read_range(0..3).unwrap();
        let scores = tamis_selection::Scorer::score(&scorer, &rows).unwrap();
        assert!(scores[0].len() == columns.len() && scores[0].iter().all(|s| s.value().is_some()));
    }
}
